// Turns bytes that a model wrote into text that a terminal and JSON accept.
#pragma once

#include <string>
#include <string_view>

namespace ferula {

/// `bytes` with each maximal ill-formed part replaced by U+FFFD, as Unicode recommends (chapter 3, table 3-8); text
/// that is well-formed stays as it is.
std::string with_valid_utf8(std::string_view bytes);

/// How many bytes at the end of `bytes` begin a letter that further bytes may complete: 0 to 3.
std::size_t unfinished_letter_bytes(std::string_view bytes);

}  // namespace ferula
