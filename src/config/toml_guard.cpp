// The guard follows strings and comments as a TOML parser does, up to the first syntax error; behind one it may be
// wrong, but there the parser has stopped as well.
#include "config/toml_guard.hpp"

#include "config/toml_lexer.hpp"

namespace ferula {
namespace {

std::uint32_t byte_at(std::string_view text, std::size_t offset) { return static_cast<unsigned char>(text[offset]); }

/// Bytes of the sequence that starts with `lead`; 0 where none does.
std::size_t sequence_length(std::uint32_t lead) {
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead < 0xE0) return 2;
  if (lead >= 0xE0 && lead < 0xF0) return 3;
  if (lead >= 0xF0 && lead < 0xF5) return 4;
  return 0;
}

/// The second byte rules out overlong forms, surrogates and numbers above U+10FFFF.
bool second_byte_fits(std::uint32_t lead, std::uint32_t second) {
  if (lead == 0xE0) return second >= 0xA0;
  if (lead == 0xED) return second < 0xA0;
  if (lead == 0xF0) return second >= 0x90;
  if (lead == 0xF4) return second < 0x90;
  return true;
}

std::optional<GuardFinding> too_deep(std::string_view text) {
  std::int64_t depth = 0;
  std::int64_t parts = 1;
  for (std::size_t i = 0; i < text.size();) {
    const char c = text[i];
    if (c == '#' || c == '"' || c == '\'') {
      i = c == '#' ? end_of_line(text, i) : end_of_string(text, i);
      continue;
    }
    if (c == '[' || c == '{') ++depth;
    if ((c == ']' || c == '}') && depth > 0) --depth;
    if (c == '.') ++parts;
    if (c == '\n' || c == '=' || c == ',' || c == '[' || c == ']' || c == '{' || c == '}') parts = 1;
    if (depth > kMostNesting) return GuardFinding{"at most 64 levels of brackets", "a deeper nesting", i};
    if (parts > kMostKeyParts) return GuardFinding{"a key of at most 16 parts", "a longer dotted key", i};
    ++i;
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::size_t> first_invalid_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const std::uint32_t lead = byte_at(text, i);
    const std::size_t length = sequence_length(lead);
    if (length == 0 || i + length > text.size()) return i;
    for (std::size_t k = 1; k < length; ++k)
      if ((byte_at(text, i + k) & 0xC0u) != 0x80u) return i;
    if (length > 1 && !second_byte_fits(lead, byte_at(text, i + 1))) return i;
    i += length;
  }
  return std::nullopt;
}

std::optional<GuardFinding> refuse_text(std::string_view text) {
  if (text.size() > kMostConfigBytes) return GuardFinding{"at most 1 MiB of text", "a larger file", 0};
  if (const auto offset = first_invalid_utf8(text)) {
    return GuardFinding{"text in UTF-8", "a byte that is not UTF-8", *offset};
  }
  if (const std::size_t zero = text.find('\0'); zero != std::string_view::npos) {
    return GuardFinding{"text", "a zero byte", zero};
  }
  return std::nullopt;
}

std::optional<GuardFinding> refuse_toml(std::string_view text) {
  if (const auto finding = refuse_text(text)) return finding;
  return too_deep(text);
}

}  // namespace ferula
