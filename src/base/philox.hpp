// Counter-based random numbers: a value depends on (key, counter) alone, never on a rank or on an order of calls.
// Salmon, Moraes, Dror, Shaw: "Parallel Random Numbers: As Easy as 1, 2, 3" (SC11), Philox4x32-10.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace ferula {

using PhiloxBlock = std::array<std::uint32_t, 4>;

/// Ten rounds of Philox4x32 on `counter` under a 64-bit key.
inline PhiloxBlock philox(std::uint64_t key, PhiloxBlock counter) {
  auto k0 = static_cast<std::uint32_t>(key);
  auto k1 = static_cast<std::uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = 0xD2511F53ull * counter[0];
    const std::uint64_t p1 = 0xCD9E8D57ull * counter[2];
    counter = {static_cast<std::uint32_t>(p1 >> 32) ^ counter[1] ^ k0, static_cast<std::uint32_t>(p1),
               static_cast<std::uint32_t>(p0 >> 32) ^ counter[3] ^ k1, static_cast<std::uint32_t>(p0)};
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return counter;
}

/// The block for a pair of 64-bit counters, e.g. (sample, element).
inline PhiloxBlock philox(std::uint64_t key, std::uint64_t high, std::uint64_t low) {
  return philox(key, PhiloxBlock{static_cast<std::uint32_t>(low), static_cast<std::uint32_t>(low >> 32),
                                 static_cast<std::uint32_t>(high), static_cast<std::uint32_t>(high >> 32)});
}

/// A key for one purpose: FNV-1a over `seed` and `name` (a tensor's name, "dropout", "sampling", "epoch").
std::uint64_t random_key(std::uint64_t seed, std::string_view name);

/// Uniform in [0, 1) from 32 random bits, with 24 bits of resolution.
inline float uniform(std::uint32_t bits) { return static_cast<float>(bits >> 8) * 0x1p-24f; }

/// Element `index` of the stream of standard normal numbers of `key` (Box-Muller in double precision).
double normal(std::uint64_t key, std::uint64_t index);

}  // namespace ferula
