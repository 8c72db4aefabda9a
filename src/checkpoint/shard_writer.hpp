// Writes the shard file of one rank: an HDF5 file whose data is written straight from the tensors' memory.
#pragma once

#include <span>

#include "checkpoint/shard_table.hpp"
#include "params/parameter_store.hpp"

namespace ferula {

/// Creates `directory`/shard-NNNNN.h5 with the pieces (empty ones are left out), fsyncs it, and then its table file.
/// `staging` holds at least one hash block and is used for reading back; no tensor is copied.
void write_shard(FileSystem& files, const std::string& directory, int writer, std::span<const OwnedPiece> pieces,
                 std::span<std::byte> staging);

}  // namespace ferula
