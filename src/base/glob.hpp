// Shell patterns of names: `*`, `?` and `[…]`, where `*` also matches dots.
#pragma once

#include <fnmatch.h>

#include <string>

namespace ferula {

inline bool glob_matches(const std::string& glob, const std::string& name) {
  return fnmatch(glob.c_str(), name.c_str(), 0) == 0;
}

}  // namespace ferula
