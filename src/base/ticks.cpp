#include "base/ticks.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <fstream>
#include <limits>
#include <string>

namespace ferula {
namespace {

using Clock = std::chrono::steady_clock;

#if defined(__x86_64__)
std::int64_t count_of_processor() { return static_cast<std::int64_t>(__builtin_ia32_rdtsc()); }
/// Whether it runs evenly and alike on all processors: Linux checks that before it tells the time by it.
bool processor_counts_time() {
  std::ifstream file("/sys/devices/system/clocksource/clocksource0/current_clocksource");
  std::string source;
  return file >> source && source == "tsc";
}
#else
std::int64_t count_of_processor() { return 0; }
bool processor_counts_time() { return false; }
#endif

/// Where both counts stood at one moment.
struct Moment {
  std::int64_t count = 0;
  Clock::time_point time;
};

/// Of a few readings the one that took least: the others may have been interrupted.
Moment read_both() {
  Moment best;
  std::int64_t least = std::numeric_limits<std::int64_t>::max();
  for (int trial = 0; trial < 4; ++trial) {
    const std::int64_t before = count_of_processor();
    const Clock::time_point time = Clock::now();
    const std::int64_t took = count_of_processor() - before;
    if (took < least) best = {before + took / 2, time};
    least = std::min(least, took);
  }
  return best;
}

/// When the first mark was asked for.
struct Beginning {
  bool by_processor = processor_counts_time();
  Moment moment = read_both();
};

const Beginning& beginning() {
  static const Beginning begun;
  return begun;
}

}  // namespace

std::int64_t ticks_now() {
  return beginning().by_processor ? count_of_processor() : Clock::now().time_since_epoch().count();
}

double seconds_of_ticks(std::int64_t ticks) {
  constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();
  static std::atomic<double> seconds_of_one{std::chrono::duration<double>(Clock::duration(1)).count()};
  static std::atomic<std::int64_t> due{beginning().by_processor ? 0 : kNever};  // when to compare the counts again
  if (const std::int64_t next = due.load(std::memory_order_relaxed); next != kNever && count_of_processor() >= next) {
    const Moment now = read_both(), &first = beginning().moment;
    const std::chrono::duration<double> elapsed = now.time - first.time;
    seconds_of_one.store(elapsed.count() / static_cast<double>(now.count - first.count), std::memory_order_relaxed);
    due.store(elapsed.count() > 0.1 ? kNever : 2 * now.count - first.count, std::memory_order_relaxed);
  }
  return seconds_of_one.load(std::memory_order_relaxed) * static_cast<double>(ticks);
}

}  // namespace ferula
