// Writes the shard file of one rank: an HDF5 file whose data is written straight from the tensors' memory, or by way of
// the host's where that lies on a GPU.
#pragma once

#include <span>

#include "checkpoint/shard_table.hpp"
#include "device/device.hpp"
#include "params/parameter_store.hpp"

namespace ferula {

/// Bytes that `write_shard` takes for reading back, and for bringing tensors to the host.
inline constexpr std::int64_t kShardStagingBytes = 4 * kHashBlockBytes;

/// Creates `directory`/shard-NNNNN.h5 with the datasets of the pieces, whose data need not exist yet, and tells where
/// each one's bytes belong.
std::vector<ShardPiece> lay_out_shard(const std::string& directory, int writer, std::span<const OwnedPiece> pieces);

/// When the bytes of all pieces were given to `file`, after what `disk` has been given: fsyncs it, hashes what it holds
/// and writes its table file. `staging`: kShardStagingBytes.
void seal_shard(FileSystem& files, const std::string& directory, int writer, File& file, Stream& disk,
                std::span<std::byte> staging, std::vector<ShardPiece> pieces);

/// Creates `directory`/shard-NNNNN.h5 with the pieces (empty ones are left out), fsyncs it, and then its table file.
/// The host's tensors are not copied. `device` gives memory for reading back, and streams until the file is written.
/// No work on the pieces may be under way.
void write_shard(FileSystem& files, Device& device, const std::string& directory, int writer,
                 std::span<const OwnedPiece> pieces);

}  // namespace ferula
