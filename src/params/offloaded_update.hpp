// The optimizer on the host's processors, for ranges whose state lies in the host's tier (Ren et al. 2021,
// ZeRO-Offload).
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "ops/execution.hpp"
#include "params/store_memory.hpp"

namespace ferula {

/// Gradients come down and new values go up in chunks, through two halves of memory in turns: while one is updated, the
/// other is copied. Where values are f32 they are the masters: they stay on the device, and pass through with the
/// gradient.
/// On the CPU all copies are real, too, although the host could reach everything in place: what its tests prove is what
/// runs on a GPU.
class OffloadedUpdate {
 public:
  /// `memory` and `execution` outlive it. Where nothing is offloaded it takes neither memory nor threads.
  OffloadedUpdate(StoreMemory& memory, const StoreSettings& settings, Execution& execution);

  /// Updates the offloaded ranges with the gradients that the compute stream leaves; their new values are on the device
  /// when it returns. `scalars` f32[kStepScalars] in memory of the host.
  void run(const OptimizerRule& rule, TensorView scalars);

 private:
  /// As much of a range as a half takes at once.
  struct Chunk {
    TensorView gradient;  // on the device
    TensorView value;     // on the device, storage dtype
    OptimizerRange host;  // the same in a half; master and moments where they lie
  };
  struct Half {
    TensorView memory;   // [bytes] u8
    Event downloaded{};  // of the chunk that is in it
    Event uploaded{};    // of the chunk that was in it
  };

  void append_chunks(ShardedRange& range, std::int64_t chunk_elements);
  Chunk chunk_of(const ShardedRange& range, Extent extent, const Half& half);
  void start(std::size_t index);
  void finish(std::size_t index, const OptimizerRule& rule, TensorView scalars);

  Execution* execution_;
  Device* host_;
  std::array<Half, kOffloadHalves> halves_{};
  std::vector<std::vector<DecaySegment>> decay_;  // by chunk
  std::vector<Chunk> chunks_;
  Buffer staging_;
  std::unique_ptr<Ops> ops_;           // of the host
  std::unique_ptr<Stream> processor_;  // the caller's thread, which computes with all threads of the rank
  std::unique_ptr<Stream> down_, up_;  // end before what their copies use
};

}  // namespace ferula
