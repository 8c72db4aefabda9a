// The frame of a manifest's text, shared by its writer and its parser: format, version and hash stand before the
// content.
#pragma once

#include <string_view>

namespace ferula::manifest_frame {

inline constexpr std::string_view kFormat = R"({"format":"ferula checkpoint )";
inline constexpr std::string_view kVersion = "1";
inline constexpr std::string_view kHash = R"(","xxh3_128":")";
inline constexpr std::string_view kContent = "\",\"content\":\n";
inline constexpr std::string_view kEnd = "}\n";
inline constexpr std::size_t kHexDigits = 32;

}  // namespace ferula::manifest_frame
