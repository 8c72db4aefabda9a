// Cards that a job can be planned for where there are none of them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ferula {

/// What the vendor's data sheet says of a card, and the network that its nodes usually have: one adapter of 200 Gb/s on
/// PCIe, else one of 200 or 400 Gb/s for each card.
struct GpuCardType {
  std::string_view name;           // "RTX A5000"
  double memory_gib = 0.0;         // as nvidia-smi counts it
  double bf16_teraflops = 0.0;     // of dense matrix products; 0: unknown
  double link_gigabytes = 0.0;     // a second to a card of the same node, one direction; 0: unknown
  std::string_view word = {};      // in what a driver calls it; empty: no driver's name tells
  double memory_gigabytes = 0.0;   // a second that its memory reads or writes; 0: unknown
  double network_gigabytes = 0.0;  // a second of a node that has eight of it, one direction: what is usual; 0: unknown
};

/// What CUDA's context, NCCL and the workspaces of libraries take of a card.
inline constexpr std::int64_t kGpuOverhead = std::int64_t{1} << 30;
/// What is left for a rank.
std::int64_t room_on(const GpuCardType& card);

/// A5000, RTX 6000 Ada, A100 of both sizes, H100 and H200.
std::span<const GpuCardType> known_cards();

/// The cards that the words name: a part of a name, in any case ("a5000"), or a size in GiB ("24"). All known ones for
/// no words. Throws ConfigError with the known names.
std::vector<GpuCardType> cards_named(const std::vector<std::string>& words);

}  // namespace ferula
