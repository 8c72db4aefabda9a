#include "grid.hpp"

#include <atomic>
#include <boost/context/fiber.hpp>
#include <memory>
#include <mutex>
#include <random>
#include <utility>
#include <vector>

namespace ferula::emulated {
namespace {

constexpr std::size_t kStackBytes = 64 << 10;
constexpr int kUnwritten = 0xff;  // of every byte: a NaN in f32 and in bf16

/// A context that runs one thread of the block after the other.
class Worker {
 public:
  /// Runs `thread` until it waits or ends.
  template <class Run>
  explicit Worker(Run run)
      : context_(std::allocator_arg, boost::context::fixedsize_stack(kStackBytes),
                 [this, run](boost::context::fiber&& caller) {
                   caller_ = std::move(caller);
                   while (true) {
                     run();
                     leave();
                   }
                   return std::move(caller_);
                 }) {}
  void enter() { context_ = std::move(context_).resume(); }
  void leave() { caller_ = std::move(caller_).resume(); }

 private:
  boost::context::fiber context_, caller_;
};

struct Copy {
  std::uint32_t to;
  const void* from;
  std::size_t bytes;
};

struct Thread {
  Place place;
  Worker* worker = nullptr;  // from its first turn to its end
  bool awaited = false;
  std::vector<Copy> copies;
};

/// Values lie in two sets in turn: a lane that is a step ahead writes into the other.
struct Warp {
  int lanes = 0, arrived = 0;
  bool lane_ended = false;
  std::uint64_t steps = 0;
  WarpStep step = nullptr;
  LaneValues given[2], taken[2];
  std::vector<int> waiting;
};

/// The turns of threads that may run.
class Turns {
 public:
  void begin(Order order) {
    clear();
    order_ = order;
  }
  void add(int thread) { ready_.push_back(thread); }
  bool empty() const { return first_ == ready_.size(); }
  int next() {
    if (order_ == Order::shuffled) std::swap(ready_[first_ + random_() % (ready_.size() - first_)], ready_[first_]);
    if (order_ == Order::backwards) {
      const int thread = ready_.back();
      ready_.pop_back();
      return thread;
    }
    const int thread = ready_[first_++];
    if (first_ == ready_.size()) ready_.clear(), first_ = 0;
    return thread;
  }
  void clear() { ready_.clear(), first_ = 0; }
  /// Block number `index` of `count` that runs.
  std::int64_t block(std::int64_t index, std::int64_t count) const {
    return order_ == Order::backwards ? count - 1 - index : index;
  }

 private:
  std::vector<int> ready_;
  std::size_t first_ = 0;
  Order order_ = Order::forwards;
  std::minstd_rand random_;
};

/// The blocks that a thread of the host runs, one after the other.
class Blocks {
 public:
  void run(const Launch& launch, Order order) {
    turns_.begin(order);
    try {
      const std::int64_t count = static_cast<std::int64_t>(launch.grid.x) * launch.grid.y * launch.grid.z;
      for (std::int64_t index = 0; index < count; ++index) run_block(launch, turns_.block(index, count));
    } catch (...) {
      workers_.clear();  // unwinds what waits
      idle_.clear();
      throw;
    }
  }

  Thread& current() { return *current_; }
  std::vector<std::byte>& shared() { return shared_; }

  void await_block() {
    waiting_.push_back(index_of_current());
    open_barrier();
    wait();
  }

  void take_step(unsigned mask, WarpStep step, const void* given, std::size_t given_bytes, void* taken,
                 std::size_t taken_bytes) {
    Warp& warp = warp_of_current();
    const int lane = index_of_current() % kLanes;
    if (mask != kEveryLane) trap("a step of some lanes of a warp, which is not emulated");
    if (warp.lane_ended || warp.lanes != kLanes) trap("a step of a warp that has lost lanes");
    if (warp.arrived > 0 && warp.step != step) trap("lanes of one warp in different steps");
    const std::size_t set = warp.steps % 2;
    std::memcpy(warp.given[set][lane], given, given_bytes);
    warp.step = step;
    if (++warp.arrived < kLanes) {
      warp.waiting.push_back(index_of_current());
      wait();
    } else {
      warp.arrived = 0;
      ++warp.steps;
      step(warp.given[set], warp.taken[set]);
      for (const int thread : warp.waiting) turns_.add(thread);
      warp.waiting.clear();
    }
    std::memcpy(taken, warp.taken[set][lane], taken_bytes);
  }

 private:
  int index_of_current() const { return static_cast<int>(current_ - threads_.data()); }
  Warp& warp_of_current() { return warps_[static_cast<std::size_t>(index_of_current() / kLanes)]; }

  void wait() {
    Thread* mine = current_;
    mine->worker->leave();
    current_ = mine;
  }

  void open_barrier() {
    if (static_cast<int>(waiting_.size()) < running_) return;
    for (const int thread : waiting_) turns_.add(thread);
    waiting_.clear();
  }

  void prepare(const Launch& launch, std::int64_t block) {
    const std::int64_t row = block / launch.grid.x;
    const uint3 place{static_cast<unsigned>(block % launch.grid.x), static_cast<unsigned>(row % launch.grid.y),
                      static_cast<unsigned>(row / launch.grid.y)};
    const std::size_t count = std::size_t{1} * launch.block.x * launch.block.y * launch.block.z;
    threads_.assign(count, {});
    warps_.resize((count + kLanes - 1) / kLanes);
    for (Warp& warp : warps_) warp.lanes = warp.arrived = 0, warp.lane_ended = false, warp.waiting.clear();
    for (std::size_t index = 0; index < count; ++index) {
      const auto at = static_cast<unsigned>(index);
      threads_[index].place = {
          {at % launch.block.x, at / launch.block.x % launch.block.y, at / launch.block.x / launch.block.y},
          place,
          launch.block,
          launch.grid};
      ++warps_[index / kLanes].lanes;
      turns_.add(static_cast<int>(index));
    }
    running_ = static_cast<int>(count);
    waiting_.clear();
    fault_.clear();
    shared_.assign(launch.shared_bytes, std::byte{kUnwritten});
    kernel_ = &launch.kernel;
  }

  void run_block(const Launch& launch, std::int64_t block) {
    prepare(launch, block);
    while (!turns_.empty()) {
      current_ = &threads_[static_cast<std::size_t>(turns_.next())];
      if (current_->worker == nullptr) current_->worker = take_worker();
      current_->worker->enter();
      if (!fault_.empty()) throw KernelFault(fault_);
    }
    if (running_ > 0) throw KernelFault(std::to_string(running_) + " threads of a block wait for each other");
  }

  /// What a worker does with the thread that it has been given.
  void run_thread() {
    Thread& mine = *current_;
    try {
      (*kernel_)();
      if (!mine.awaited) trap("a kernel that does not wait for the one before");
    } catch (const KernelFault& fault) {
      fault_ = fault.what();
    }
    warp_of_current().lane_ended = true;
    if (warp_of_current().arrived > 0 && fault_.empty()) fault_ = "a lane has ended that others of its warp wait for";
    idle_.push_back(std::exchange(mine.worker, nullptr));
    --running_;
    open_barrier();
  }

  Worker* take_worker() {
    if (idle_.empty()) return workers_.emplace_back(std::make_unique<Worker>([this] { run_thread(); })).get();
    Worker* worker = idle_.back();
    idle_.pop_back();
    return worker;
  }

  Turns turns_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<Worker*> idle_;
  std::vector<Thread> threads_;
  std::vector<Warp> warps_;
  std::vector<int> waiting_;  // at the barrier
  std::vector<std::byte> shared_;
  const std::function<void()>* kernel_ = nullptr;
  Thread* current_ = nullptr;
  int running_ = 0;
  std::string fault_;
};

std::atomic<Order> order_of_all = Order::forwards;

/// Of the launch that this thread of the host runs.
thread_local Blocks* running = nullptr;
Blocks& blocks() { return *running; }

/// Blocks whose contexts are ready, from earlier launches of any thread.
class IdleBlocks {
 public:
  std::unique_ptr<Blocks> take() {
    const std::lock_guard lock(mutex_);
    if (idle_.empty()) return std::make_unique<Blocks>();
    std::unique_ptr<Blocks> taken = std::move(idle_.back());
    idle_.pop_back();
    return taken;
  }
  void give(std::unique_ptr<Blocks> blocks) {
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(blocks));
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<Blocks>> idle_;
};

}  // namespace

void set_order(Order order) { order_of_all = order; }

void run_grid(const Launch& launch) {
  static IdleBlocks idle;
  std::unique_ptr<Blocks> mine = idle.take();
  running = mine.get();
  mine->run(launch, order_of_all.load());
  idle.give(std::move(mine));
}
const Place& here() { return blocks().current().place; }
void await_block() { blocks().await_block(); }
void note_previous_awaited() { blocks().current().awaited = true; }
void take_step(unsigned mask, WarpStep step, const void* given, std::size_t given_bytes, void* taken,
               std::size_t taken_bytes) {
  blocks().take_step(mask, step, given, given_bytes, taken, taken_bytes);
}

std::byte* shared_memory() { return blocks().shared().data(); }

std::byte* shared_at(std::uint32_t offset, std::size_t bytes) {
  std::vector<std::byte>& shared = blocks().shared();
  if (offset + bytes > shared.size() || offset % bytes != 0)
    trap(std::to_string(bytes) + " bytes at " + std::to_string(offset) + " of " + std::to_string(shared.size()) +
         " bytes of shared memory");
  return shared.data() + offset;
}

std::uint32_t shared_offset(const void* place) {
  const std::ptrdiff_t offset = static_cast<const std::byte*>(place) - shared_memory();
  if (offset < 0 || static_cast<std::size_t>(offset) > blocks().shared().size())
    trap("an address outside of dynamic shared memory");
  return static_cast<std::uint32_t>(offset);
}

void copy_later(std::uint32_t to, const void* from, std::size_t bytes) {
  shared_at(to, bytes);
  blocks().current().copies.push_back({to, from, bytes});
}

void make_copies() {
  std::vector<Copy>& copies = blocks().current().copies;
  for (const Copy& copy : copies) {
    std::byte* to = shared_at(copy.to, copy.bytes);
    if (copy.from == nullptr)
      std::memset(to, 0, copy.bytes);
    else
      std::memcpy(to, copy.from, copy.bytes);
  }
  copies.clear();
}

void trap(const std::string& why) { throw KernelFault(why); }

}  // namespace ferula::emulated
