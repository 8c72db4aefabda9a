// What the benchmarks' programs print: one line of JSON a measured slice. The drivers make medians and tables of them.
#pragma once

#include <string_view>

#include "base/stopwatch.hpp"

namespace ferula::bench {

/// What a call cost. Processor time, of all threads, hardly moves when others use the machine.
struct Cost {
  double seconds = 0;
  double processor_seconds = 0;

  Cost operator+(const Cost& other) const {
    return {seconds + other.seconds, processor_seconds + other.processor_seconds};
  }
  Cost times(double factor) const { return {factor * seconds, factor * processor_seconds}; }
};

/// Processor seconds of all threads of this process since its start.
double processor_seconds();

template <class Call>
Cost cost_of(const Call& call) {
  const double before = processor_seconds();
  const Stopwatch watch;
  call();
  return {watch.seconds(), processor_seconds() - before};
}

/// One slice of `side` at `row`: `amount` of `unit` at that cost. `apart_s`: how long a word took from one core to the
/// other and back right before, where that was measured.
void print_sample(std::string_view row, std::string_view side, double amount, std::string_view unit, const Cost& cost,
                  double apart_s = 0);

}  // namespace ferula::bench
