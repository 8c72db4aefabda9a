// Trains steps whose operations are timed, in turns with the ceilings of arithmetic and of memory: one line of JSON for
// each step. rounds=N threads=N and the shape as in step_worker; arithmetic_rounds=N ceiling_bytes=N.
#include <fmt/format.h>

#include <cstdio>

#include "ceilings.hpp"
#include "comm/node_place.hpp"
#include "comm/simulated_transport.hpp"
#include "training_rank.hpp"

namespace ferula::bench {
namespace {

std::string operations_in_json(const TimedOps& ops) {
  std::string text;
  for (const auto& [name, record] : ops.records())
    text += fmt::format(R"({}{{"name":"{}","calls":{},"seconds":{:.9g},"flops":{:.9g},"bytes":{:.9g}}})",
                        text.empty() ? "" : ",", name, record.calls, record.seconds, record.flops, record.bytes);
  return text;
}

void run(const Arguments& arguments) {
  const auto threads = static_cast<int>(arguments.number("threads", 2));
  StepShape shape = step_shape(arguments);
  shape.timing = Timing::operations;
  TrainingRank rank(make_self_transport(), shape, threads);
  const auto probe = shape.compute == DType::bf16 ? probe_bf16_arithmetic : probe_arithmetic;
  pin_threads();
  MemoryLedger ledger;
  const auto device = make_cpu_device(ledger);
  StreamingCeiling memory(*device, arguments.number("ceiling_bytes", 250'000'000));
  for (std::int64_t round = -2; round < arguments.number("rounds", 10); ++round) {
    const Arithmetic arithmetic = probe(arguments.number("arithmetic_rounds", 20'000'000));
    const Cost stream = memory.sweep();
    rank.timed_ops().reset();
    const StepResult step = rank.step();
    if (round < 0) continue;
    fmt::print(R"({{"step_s":{:.9g},"peak_flops":{:.9g},"bandwidth":{:.9g},"model_flops":{:.9g},"operations":[{}]}})"
               "\n",
               step.seconds, arithmetic.flops / arithmetic.cost.seconds, memory.sweep_bytes() / stream.seconds,
               rank.flops_per_step(), operations_in_json(rank.timed_ops()));
    std::fflush(stdout);
  }
}

}  // namespace
}  // namespace ferula::bench

int main(int count, char** words) { return ferula::bench::run_program(count, words, ferula::bench::run); }
