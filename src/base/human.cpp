#include "base/human.hpp"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <string_view>

namespace ferula {
namespace {

/// Three significant digits of 0 ≤ value < 1000: "7.25", "72.5", "725".
std::string three_digits(double value) {
  if (value < 9.995) return fmt::format("{:.2f}", value);
  if (value < 99.95) return fmt::format("{:.1f}", value);
  return fmt::format("{:.0f}", value);
}

}  // namespace

std::string human_bytes(std::int64_t bytes) {
  if (bytes < 1024) return fmt::format("{} B", bytes);
  const std::array<std::string_view, 4> units{"KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes) / 1024.0;
  std::size_t unit = 0;
  while (value >= 999.5 && unit + 1 < units.size()) {
    value /= 1024.0;
    ++unit;
  }
  return fmt::format("{} {}", value < 999.5 ? three_digits(value) : fmt::format("{:.0f}", value), units[unit]);
}

std::string human_gibibytes(std::int64_t bytes) {
  return fmt::format("{:.2f} GiB", static_cast<double>(bytes) / 0x1p30);
}

std::string human_count(double count) {
  if (!std::isfinite(count)) return "-";
  if (std::abs(count) < 999.5) return fmt::format("{:.0f}", count);
  const std::array<std::string_view, 4> suffixes{"k", "M", "B", "T"};
  double value = count / 1000.0;
  std::size_t suffix = 0;
  while (std::abs(value) >= 999.5 && suffix + 1 < suffixes.size()) {
    value /= 1000.0;
    ++suffix;
  }
  return fmt::format("{}{}{}", value < 0 ? "-" : "", three_digits(std::abs(value)), suffixes[suffix]);
}

std::string human_duration(double seconds) {
  constexpr double kLongest = 1e12;  // beyond it a number of days says nothing
  if (!(seconds >= 0.0) || seconds > kLongest) return "-";
  const auto whole = static_cast<std::int64_t>(std::llround(seconds));
  const std::int64_t days = whole / 86400, hours = whole / 3600 % 24, minutes = whole / 60 % 60, rest = whole % 60;
  if (days > 0) return fmt::format("{}d {}:{:02}:{:02}", days, hours, minutes, rest);
  if (hours > 0) return fmt::format("{}:{:02}:{:02}", hours, minutes, rest);
  return fmt::format("{}:{:02}", minutes, rest);
}

std::string shell_word(const std::string& word) {
  if (!word.empty() && word.find_first_of(" \t\n'\"$*?[]{}()<>|&;\\`!#~") == std::string::npos) return word;
  std::string quoted = "'";
  for (const char letter : word) quoted += letter == '\'' ? std::string("'\\''") : std::string(1, letter);
  return quoted + "'";
}

}  // namespace ferula
