#include "samples.hpp"

#include <fmt/format.h>
#include <time.h>

#include <cstdio>

namespace ferula::bench {

double processor_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

void print_sample(std::string_view row, std::string_view side, double amount, std::string_view unit, const Cost& cost,
                  double apart_s) {
  const std::string apart = apart_s > 0 ? fmt::format(R"(,"apart_ns":{:.4g})", 1e9 * apart_s) : "";
  fmt::print(R"({{"row":"{}","side":"{}","amount":{:.6g},"unit":"{}","wall_s":{:.9g},"cpu_s":{:.9g}{}}})"
             "\n",
             row, side, amount, unit, cost.seconds, cost.processor_seconds, apart);
  std::fflush(stdout);
}

}  // namespace ferula::bench
