// Cards that a job can be planned for where there are none of them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ferula {

/// What the vendor's data sheet says of a card.
struct GpuCardType {
  std::string_view name;        // "RTX A5000"
  double memory_gib = 0.0;      // as nvidia-smi counts it
  double bf16_teraflops = 0.0;  // of dense matrix products; 0: unknown
  double link_gigabytes = 0.0;  // a second to a card of the same node, one direction; 0: unknown
};

/// Of a GPU's memory, for CUDA's context, NCCL and the workspaces of libraries.
inline constexpr std::int64_t kGpuOverheadBytes = std::int64_t{1} << 30;

/// Bytes that a rank may take on the card.
inline std::int64_t room_on(const GpuCardType& card) {
  return static_cast<std::int64_t>(card.memory_gib * 0x1p30) - kGpuOverheadBytes;
}

/// A5000, RTX 6000 Ada, A100, H100 and H200.
std::span<const GpuCardType> known_cards();

/// The cards that the words name: a part of a name, in any case ("a5000"), or a size in GiB ("24"). All known ones for
/// no words. Throws ConfigError with the known names.
std::vector<GpuCardType> cards_named(const std::vector<std::string>& words);

}  // namespace ferula
