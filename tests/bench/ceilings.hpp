// The most that this machine can do right now: arithmetic from registers, and streams through memory. Machines are
// shared and their memory changes state within seconds, so a ceiling is probed between the slices that it bounds.
#pragma once

#include <cstdint>

#include "device/device.hpp"
#include "samples.hpp"

namespace ferula::bench {

/// Pins each OpenMP thread of the caller to a processor of its own, as far as there are enough.
void pin_threads();

/// Multiplies and adds in registers on all threads: `flops` operations of f32 at that cost.
struct Arithmetic {
  double flops = 0;
  Cost cost;
};
Arithmetic probe_arithmetic(std::int64_t rounds);

/// Streams through memory on huge pages that no cache can hold.
class StreamingCeiling {
 public:
  /// Takes `bytes`, which are touched at once.
  StreamingCeiling(Device& device, std::int64_t bytes);

  /// One sweep in place, x = 2 − x, each thread on kStreams streams at once. Counts what is read and written.
  Cost sweep();
  double sweep_bytes() const { return 2.0 * static_cast<double>(memory_.bytes()); }

 private:
  static constexpr std::int64_t kStreams = 4;
  Buffer memory_;
};

}  // namespace ferula::bench
