// index.h5: every whole tensor as a virtual dataset over the shards, for plain h5py and h5dump.
#pragma once

#include <string>

#include "checkpoint/manifest.hpp"

namespace ferula {

/// Creates `directory`/index.h5. Datasets are /<role>/<name with />; a tied tensor is a link to the one
/// that is stored, whose attribute "aliases" names it. Does not fsync.
void write_index(const std::string& directory, const Manifest& manifest);

}  // namespace ferula
