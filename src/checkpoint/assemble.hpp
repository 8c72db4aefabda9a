// Makes a checkpoint of the shards that all ranks have written: index, configuration and, last, the manifest.
#pragma once

#include <string>

#include "checkpoint/checkpoint_writer.hpp"

namespace ferula {

/// Called by one rank when `writers` shards and their tables lie in `directory`. Throws DataError where a shard cannot
/// be seen (the folder is not shared) or the pieces do not cover every tensor. Afterwards all of it is on the disk.
void assemble_checkpoint(FileSystem& files, const std::string& directory, int writers, const SaveRequest& request);

}  // namespace ferula
