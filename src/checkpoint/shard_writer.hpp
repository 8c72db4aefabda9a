// Writes the shard file of one rank: an HDF5 file whose data is written straight from the tensors' memory.
#pragma once

#include <span>

#include "checkpoint/shard_table.hpp"
#include "device/device.hpp"
#include "params/parameter_store.hpp"

namespace ferula {

/// Creates `directory`/shard-NNNNN.h5 with the pieces (empty ones are left out), fsyncs it, and then its table file.
/// No tensor is copied; `device` gives 1 MiB for reading back, and a stream for the disk until the file is written.
void write_shard(FileSystem& files, Device& device, const std::string& directory, int writer,
                 std::span<const OwnedPiece> pieces);

}  // namespace ferula
