// Expands a pattern of file names: *, ?, [abc] within a name, and ** for any number of folders.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ferula {

/// Whether `pattern` has a wildcard.
bool is_glob(std::string_view pattern);

/// The regular files that match, sorted by their bytes. `**` stands for zero or more folders, and ends in every file
/// below when it comes last. Wildcards match neither hidden names nor, for `**`, folders behind symbolic links.
/// Folders that cannot be read throw DataError.
std::vector<std::string> expand_glob(const std::string& pattern);

/// Every regular file below `folder` that is not hidden, sorted by its bytes.
std::vector<std::string> files_below(const std::string& folder);

}  // namespace ferula
