// Writes the shard file of one rank: an HDF5 file whose data is written straight from the tensors' memory.
#pragma once

#include <span>

#include "checkpoint/shard_table.hpp"
#include "device/device.hpp"
#include "params/parameter_store.hpp"

namespace ferula {

/// Bytes that `write_shard` takes for reading back.
inline constexpr std::int64_t kShardStagingBytes = 4 * kHashBlockBytes;

/// Creates `directory`/shard-NNNNN.h5 with the pieces (empty ones are left out), fsyncs it, and then its table file.
/// No tensor is copied; `device` gives memory for reading back, and a stream for the disk until the file is written.
void write_shard(FileSystem& files, Device& device, const std::string& directory, int writer,
                 std::span<const OwnedPiece> pieces);

}  // namespace ferula
