// The most that this machine can do right now: arithmetic from registers, and streams through memory. Machines are
// shared and their memory changes state within seconds, so a ceiling is probed between the slices that it bounds.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>

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
/// The same of bf16 with sums in f32; of f32 where the processor has no instructions for it, as the operations do.
/// Where there are tiles (AMX): what they could do at the clock of this moment, which alone is probed.
Arithmetic probe_bf16_arithmetic(std::int64_t rounds);

/// Cycles a second of one thread at work: of a chain of shifts and exclusive ors, each of which takes a cycle on every
/// processor of this architecture.
double probe_clock();
/// Operations of f32 that a core ends in a cycle at most: two multiply-adds of the widest vectors that are in use.
double theoretical_flops_per_cycle();

/// Streams through memory on huge pages that no cache can hold.
class StreamingCeiling {
 public:
  /// What a call cost all who share the memory, who make it together.
  using Timed = std::function<Cost(const std::function<void()>&)>;

  /// Takes `bytes`, touches them, and finds the shape of a sweep that this machine does fastest as `timed` measures it:
  /// the same on all ranks where all of them are told the same cost. A power of two is a bad choice: the streams of a
  /// sweep then meet in the same banks of memory.
  StreamingCeiling(Device& device, std::int64_t bytes, const Timed& timed = cost_of<std::function<void()>>);

  /// One sweep in place. Counts what is read and written.
  Cost sweep();
  double sweep_bytes() const;
  /// One sweep that only reads: on many processors slower a byte than one in place.
  Cost read();
  double read_bytes() const;

 private:
  /// What each thread sweeps at once: streams in place and, perhaps, one more that is read only.
  struct Shape {
    std::int64_t written = 1;
    bool reading = false;
    std::int64_t streams() const { return written + (reading ? 1 : 0); }
  };
  std::int64_t stream_elements(std::int64_t threads, std::int64_t streams) const;
  /// Calls `work(first, count)` on each thread with its part of the memory, as so many streams of `count` elements.
  template <class Work>
  Cost on_all_threads(std::int64_t streams, const Work& work);

  Buffer memory_;
  Shape shape_;
  std::int64_t read_streams_ = 1;
  std::atomic<float> sum_ = 0;  // keeps reading from being removed
};

}  // namespace ferula::bench
