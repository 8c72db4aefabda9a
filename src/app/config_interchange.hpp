// `ferula config import` and `export`: configurations of DeepSpeed, accelerate and training scripts.
#pragma once

#include <cstdint>
#include <functional>

#include "app/command_line.hpp"
#include "base/error.hpp"
#include "config/resolve_config.hpp"

namespace ferula {

/// What is known to resolve a configuration for so many ranks.
using FactsFor = std::function<ResolveFacts(const Config& config, std::int64_t ranks)>;

inline constexpr OptionSpec kPreset{"preset", "NAME", "new, import: the starting point."};
inline constexpr OptionSpec kFormat{"format", "NAME", "export: deepspeed, the default."};

/// `config import FROM [TO.toml]`: writes the configuration, never over a file, and lists what became of each key.
/// Where the file's batch triangle says for how many ranks it is, `ranks` is not asked.
ExitCode import_foreign(const CommandLine& line, std::optional<std::int64_t> ranks, const FactsFor& facts);

/// `config export CONFIG.toml [TO.json]`: without TO prints it. What has no key there is listed on standard error.
ExitCode export_foreign(const CommandLine& line, std::int64_t ranks, const FactsFor& facts);

/// Writes a file that must not exist yet.
void write_new_file(const std::string& path, const std::string& text);

}  // namespace ferula
