#include "app/plan/gpu_cards.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>

#include "base/error.hpp"

namespace ferula {
namespace {

constexpr std::array<GpuCardType, 6> kCards{{{"RTX A5000", 23.99, 111.0, 32.0, "A5000", 768.0, 25.0},
                                             {"RTX 6000 Ada", 47.99, 364.0, 32.0, "6000 Ada", 960.0, 25.0},
                                             {"A100 40 GB", 40.0, 312.0, 300.0, "A100", 1555.0, 200.0},
                                             {"A100 80 GB", 80.0, 312.0, 300.0, "A100", 2039.0, 200.0},
                                             {"H100 SXM", 79.65, 989.0, 450.0, "H100", 3350.0, 400.0},
                                             {"H200 SXM", 140.4, 989.0, 450.0, "H200", 4800.0, 400.0}}};

std::string lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(), [](unsigned char c) { return std::tolower(c); });
  return result;
}

/// "24" is a card of this memory about which no more is known.
std::vector<GpuCardType> cards_of(const std::string& word) {
  double gib = 0.0;
  const auto parsed = std::from_chars(word.data(), word.data() + word.size(), gib);
  if (parsed.ec == std::errc() && parsed.ptr == word.data() + word.size() && gib > 0.0 && gib < 1e6)
    return {{.name = "any card", .memory_gib = gib}};
  std::vector<GpuCardType> found;
  for (const GpuCardType& card : kCards)
    if (!word.empty() && lower(card.name).find(lower(word)) != std::string::npos) found.push_back(card);
  if (!found.empty()) return found;
  std::string names;
  for (const GpuCardType& card : kCards) names += fmt::format("{}{}", names.empty() ? "" : ", ", card.name);
  throw ConfigError(fmt::format("--card: expected a part of one of {}, or a memory in GiB, found '{}'", names, word));
}

}  // namespace

std::int64_t room_on(const GpuCardType& card) {
  return static_cast<std::int64_t>(card.memory_gib * 0x1p30) - kGpuOverhead;
}

std::span<const GpuCardType> known_cards() { return kCards; }

std::vector<GpuCardType> cards_named(const std::vector<std::string>& words) {
  if (words.empty()) return {kCards.begin(), kCards.end()};
  std::vector<GpuCardType> cards;
  for (const std::string& word : words)
    for (const GpuCardType& card : cards_of(word)) cards.push_back(card);
  return cards;
}

}  // namespace ferula
