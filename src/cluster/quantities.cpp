#include "cluster/quantities.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <vector>

#include "cluster/words.hpp"

namespace ferula {
namespace {

constexpr std::int64_t kMinute = 60, kHour = 3600, kDay = 86400;
constexpr std::int64_t kMost = 1'000'000'000, kMostTebibytes = 1'000'000;

/// A number so small that products of it, in the smallest unit and over all nodes, stay below 2^63.
std::optional<std::int64_t> number(std::string_view text) {
  const auto value = whole_number(text);
  return value.value_or(0) > kMost ? std::nullopt : value;
}

/// The numbers between colons; empty where one is none.
std::vector<std::int64_t> parts_of(std::string_view text) {
  std::vector<std::int64_t> parts;
  for (const std::string_view piece : split(text, ':')) {
    const auto part = number(piece);
    if (!part) return {};
    parts.push_back(*part);
  }
  return parts;
}

std::string lower_case(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
  return lower;
}

}  // namespace

std::optional<std::int64_t> seconds_of_slurm_time(std::string_view text) {
  const std::string lower = lower_case(text);
  if (lower == "unlimited" || lower == "infinite") return kNoTimeLimit;
  const std::size_t dash = text.find('-');
  if (dash != std::string_view::npos) {
    const auto days = number(text.substr(0, dash));
    std::vector<std::int64_t> parts = parts_of(text.substr(dash + 1));
    if (!days || parts.empty() || parts.size() > 3) return std::nullopt;
    parts.resize(3, 0);
    return *days * kDay + parts[0] * kHour + parts[1] * kMinute + parts[2];
  }
  const std::vector<std::int64_t> parts = parts_of(text);
  if (parts.size() == 1) return parts[0] * kMinute;
  if (parts.size() == 2) return parts[0] * kMinute + parts[1];
  if (parts.size() == 3) return parts[0] * kHour + parts[1] * kMinute + parts[2];
  return std::nullopt;
}

std::string slurm_time(std::int64_t seconds) {
  if (seconds == kNoTimeLimit) return "UNLIMITED";
  const std::string clock = fmt::format(":{:02}:{:02}", seconds % kHour / kMinute, seconds % kMinute);
  const std::int64_t hours = seconds / kHour;
  return hours < 24 ? fmt::format("{}{}", hours, clock) : fmt::format("{}-{:02}{}", hours / 24, hours % 24, clock);
}

std::optional<std::int64_t> mebibytes_of_slurm_memory(std::string_view text) {
  if (!text.empty() && (text.back() == 'B' || text.back() == 'b')) text.remove_suffix(1);
  if (text.empty()) return std::nullopt;
  const char unit = static_cast<char>(std::toupper(static_cast<unsigned char>(text.back())));
  const bool has_unit = std::isdigit(static_cast<unsigned char>(text.back())) == 0;
  const auto count = number(has_unit ? text.substr(0, text.size() - 1) : text);
  if (!count || (unit == 'T' && *count > kMostTebibytes)) return std::nullopt;
  if (!has_unit || unit == 'M') return *count;
  if (unit == 'K') return (*count + 1023) / 1024;
  if (unit == 'G') return *count * 1024;
  if (unit == 'T') return *count * 1024 * 1024;
  return std::nullopt;
}

std::string slurm_memory(std::int64_t mebibytes) {
  return mebibytes % 1024 == 0 && mebibytes > 0 ? fmt::format("{}G", mebibytes / 1024) : fmt::format("{}M", mebibytes);
}

}  // namespace ferula
