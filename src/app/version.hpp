// Which program this is: for `ferula --version`, summary.json and bug reports.
#pragma once

#include <string_view>

namespace ferula {

/// "0.1.0".
std::string_view version();
/// The commit that was built, "-modified" where the tree differed from it; "unknown" outside a git checkout.
std::string_view revision();

}  // namespace ferula
