#include "comm/node_place.hpp"

#include <omp.h>
#include <sched.h>

#include <algorithm>
#include <cmath>

namespace ferula {

CpuMask allowed_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  CpuMask mask;
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return mask.set(0);
  for (std::size_t cpu = 0; cpu < std::min<std::size_t>(mask.size(), CPU_SETSIZE); ++cpu)
    if (CPU_ISSET(cpu, &set)) mask.set(cpu);
  return mask;
}

int fair_threads(std::span<const CpuMask> masks, int mine) {
  double share = 0.0;
  const CpuMask& own = masks[static_cast<std::size_t>(mine)];
  for (std::size_t cpu = 0; cpu < own.size(); ++cpu) {
    if (!own.test(cpu)) continue;
    share += 1.0 / static_cast<double>(std::count_if(masks.begin(), masks.end(),
                                                     [cpu](const CpuMask& mask) { return mask.test(cpu); }));
  }
  return std::max(1, static_cast<int>(std::floor(share + 1e-6)));
}

void set_compute_threads(int threads) { omp_set_num_threads(threads); }

}  // namespace ferula
