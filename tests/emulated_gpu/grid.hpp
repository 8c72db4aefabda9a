// Runs a kernel on the processor: the threads of a block are contexts of one thread of the host, which takes turns
// between them where they wait for each other. What a GPU leaves undefined is an error here.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <string>
#include <type_traits>

namespace ferula::emulated {

inline constexpr int kLanes = 32;
inline constexpr unsigned kEveryLane = 0xffffffffu;

/// What a kernel did that a GPU would not have survived, or that it need not survive.
class KernelFault : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct Launch {
  dim3 grid, block;
  std::size_t shared_bytes = 0;
  std::function<void()> kernel;  // what one thread does
};

/// Runs all blocks. Throws KernelFault: of a trap, of lanes that part where they must act together, of threads that
/// wait for each other for ever.
void run_grid(const Launch& launch);

/// In which order threads of a block take turns, and blocks follow each other.
enum class Order : unsigned char { forwards, backwards, shuffled };
/// Of all launches that follow; forwards until then.
void set_order(Order order);

/// What a thread of a kernel sees of itself.
struct Place {
  uint3 thread, block;
  dim3 block_size, grid_size;
};
/// Of the thread that runs; only inside of a kernel, as everything below.
const Place& here();

/// __syncthreads: goes on when all threads of the block that have not ended are here.
void await_block();
/// The thread has waited for the kernel before its own, which is the first thing that it must do.
void note_previous_awaited();

/// The block's dynamic shared memory; bytes that nobody has written make NaNs.
std::byte* shared_memory();
/// Place `offset` of it. Throws KernelFault where `bytes` there are not inside or the address is not aligned to them.
std::byte* shared_at(std::uint32_t offset, std::size_t bytes);
/// The offset of a place in it.
std::uint32_t shared_offset(const void* place);
/// Copies into shared memory that are made when the thread waits for them, as late as a GPU might; zeros from null.
void copy_later(std::uint32_t to, const void* from, std::size_t bytes);
void make_copies();

/// What each lane gives to a step of its warp, or takes from it.
inline constexpr std::size_t kLaneBytes = 64;
using LaneValues = std::byte[kLanes][kLaneBytes];
using WarpStep = void (*)(const LaneValues& given, LaneValues& taken);
/// One step that all lanes of the warp take together: the last that comes makes it. Throws KernelFault where the mask
/// names fewer lanes, where lanes have ended, or where they meet in different steps.
void take_step(unsigned mask, WarpStep step, const void* given, std::size_t given_bytes, void* taken,
               std::size_t taken_bytes);

/// take_step with a function of the values of all lanes.
template <class Out, class In, void (*kStep)(const In (&given)[kLanes], Out (&taken)[kLanes])>
Out together(unsigned mask, const In& mine) {
  static_assert(std::is_trivially_copyable_v<In> && std::is_trivially_copyable_v<Out>);
  static_assert(sizeof(In) <= kLaneBytes && sizeof(Out) <= kLaneBytes);
  Out result;
  take_step(
      mask,
      [](const LaneValues& given, LaneValues& taken) {
        In values[kLanes];
        Out results[kLanes];
        for (int lane = 0; lane < kLanes; ++lane) std::memcpy(&values[lane], given[lane], sizeof(In));
        kStep(values, results);
        for (int lane = 0; lane < kLanes; ++lane) std::memcpy(taken[lane], &results[lane], sizeof(Out));
      },
      &mine, sizeof(In), &result, sizeof(Out));
  return result;
}

[[noreturn]] void trap(const std::string& why);

/// Throws KernelFault where an access of `bytes` at this address is not aligned to them.
inline void require_aligned(const void* address, std::size_t bytes) {
  if (reinterpret_cast<std::uintptr_t>(address) % bytes != 0) trap(std::to_string(bytes) + " bytes at an odd address");
}

}  // namespace ferula::emulated
