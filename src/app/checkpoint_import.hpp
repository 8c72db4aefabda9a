// `ferula checkpoint import`: a published model becomes a checkpoint.
#pragma once

#include "app/command_line.hpp"
#include "storage/file_system.hpp"

namespace ferula {

inline constexpr OptionSpec kImportDType{"dtype", "TYPE",
                                         "import: f32 or bf16; default: bf16 where all values are, else f32."};

/// `import DIR OUT`: DIR holds config.json and safetensors, OUT is a new folder. Prints what came of it.
ExitCode import_checkpoint(const CommandLine& line, FileSystem& files);

}  // namespace ferula
