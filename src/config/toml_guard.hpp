// What a text must fulfil before the TOML parser may see it. toml11 3.7.1 reads out of bounds on invalid UTF-8,
// overflows the stack on deep nesting and takes seconds on very deep dotted keys.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace ferula {

inline constexpr std::size_t kMostConfigBytes = std::size_t{1} << 20;
inline constexpr std::int64_t kMostNesting = 64;
inline constexpr std::int64_t kMostKeyParts = 16;

/// Why a text is refused, and the byte at which that shows.
struct GuardFinding {
  const char* expected;
  const char* found;
  std::size_t offset = 0;
};

/// The first reason why `text` is no text that a parser may see: more than 1 MiB, a byte that is not UTF-8, a zero
/// byte.
std::optional<GuardFinding> refuse_text(std::string_view text);

/// The first reason not to parse `text`: more than 1 MiB, a byte that is not UTF-8, brackets nested more than 64 deep,
/// a dotted key of more than 16 parts. Reads the text once.
std::optional<GuardFinding> refuse_toml(std::string_view text);

/// The offset of the first byte that is not part of a valid UTF-8 sequence (RFC 3629).
std::optional<std::size_t> first_invalid_utf8(std::string_view text);

}  // namespace ferula
