#include "base/philox.hpp"

#include <cmath>
#include <numbers>

namespace ferula {

std::uint64_t random_key(std::uint64_t seed, std::string_view name) {
  std::uint64_t hash = 0xcbf29ce484222325ull;
  const auto mix = [&hash](std::uint8_t byte) { hash = (hash ^ byte) * 0x100000001b3ull; };
  for (int shift = 0; shift < 64; shift += 8) mix(static_cast<std::uint8_t>(seed >> shift));
  for (const char letter : name) mix(static_cast<std::uint8_t>(letter));
  return hash;
}

double normal(std::uint64_t key, std::uint64_t index) {
  const PhiloxBlock bits = philox(key, 0, index / 2);
  const double first = (bits[0] + 0.5) * 0x1p-32 + bits[1] * 0x1p-64;
  const double angle = 2.0 * std::numbers::pi * (bits[2] * 0x1p-32);
  const double radius = std::sqrt(-2.0 * std::log(first));
  return radius * (index % 2 == 0 ? std::cos(angle) : std::sin(angle));
}

}  // namespace ferula
