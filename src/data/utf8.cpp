#include "data/utf8.hpp"

#include <algorithm>
#include <array>
#include <cstdint>

namespace ferula {

namespace {

/// A row of the Unicode standard's table 3-7: which second byte may follow a first one, and how many bytes there are.
struct Form {
  std::uint8_t first_low, first_high;
  std::uint8_t second_low, second_high;
  std::size_t bytes;
};

constexpr std::array<Form, 8> kForms{{{0xC2, 0xDF, 0x80, 0xBF, 2},
                                      {0xE0, 0xE0, 0xA0, 0xBF, 3},
                                      {0xE1, 0xEC, 0x80, 0xBF, 3},
                                      {0xED, 0xED, 0x80, 0x9F, 3},
                                      {0xEE, 0xEF, 0x80, 0xBF, 3},
                                      {0xF0, 0xF0, 0x90, 0xBF, 4},
                                      {0xF1, 0xF3, 0x80, 0xBF, 4},
                                      {0xF4, 0xF4, 0x80, 0x8F, 4}}};

struct Part {
  std::size_t bytes;
  bool well_formed;
};

/// The letter that `text` begins with, or its longest beginning that is part of one.
Part first_part(std::string_view text) {
  const auto byte = [text](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  if (byte(0) < 0x80) return {1, true};
  for (const Form& form : kForms) {
    if (byte(0) < form.first_low || byte(0) > form.first_high) continue;
    std::size_t length = 1;
    for (; length < form.bytes && length < text.size(); ++length) {
      const std::uint8_t low = length == 1 ? form.second_low : 0x80;
      const std::uint8_t high = length == 1 ? form.second_high : 0xBF;
      if (byte(length) < low || byte(length) > high) break;
    }
    return {length, length == form.bytes};
  }
  return {1, false};
}

bool may_begin_letter(char byte) {
  const auto value = static_cast<std::uint8_t>(byte);
  return std::ranges::any_of(kForms, [value](const Form& f) { return value >= f.first_low && value <= f.first_high; });
}

}  // namespace

std::string with_valid_utf8(std::string_view bytes) {
  std::string text;
  while (!bytes.empty()) {
    const Part part = first_part(bytes);
    text += part.well_formed ? bytes.substr(0, part.bytes) : std::string_view("\xEF\xBF\xBD");
    bytes.remove_prefix(part.bytes);
  }
  return text;
}

std::size_t unfinished_letter_bytes(std::string_view bytes) {
  Part last{0, true};
  bool broken_off = false;
  while (!bytes.empty()) {
    last = first_part(bytes);
    broken_off = !last.well_formed && last.bytes == bytes.size() && may_begin_letter(bytes.front());
    bytes.remove_prefix(last.bytes);
  }
  return broken_off ? last.bytes : 0;
}

}  // namespace ferula
