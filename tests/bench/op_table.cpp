// Times the operations of tests/support/op_cases at the shapes of a GPT-2 124M layer, each in turns with the ceiling
// that bounds it: arithmetic where the case counts operations, else streaming memory. toy=1 takes the tests' shapes.

#include "arguments.hpp"
#include "ceilings.hpp"
#include "comm/node_place.hpp"
#include "support/op_cases.hpp"

namespace ferula::bench {
namespace {

constexpr double kSliceSeconds = 5e-3;  // of one sample at least

/// Calls of one sample, so that it lasts long enough to be timed.
std::int64_t calls_per_slice(double seconds) {
  return std::max<std::int64_t>(1, static_cast<std::int64_t>(kSliceSeconds / std::max(seconds, 1e-9)));
}

class Table {
 public:
  explicit Table(const Arguments& arguments)
      : rounds_(arguments.number("rounds", 9)),
        arithmetic_rounds_(arguments.number("arithmetic_rounds", 1'000'000)),
        device_(make_cpu_device(ledger_)),
        stream_(device_->make_stream()),
        ops_(make_cpu_ops(*device_)),
        memory_(*device_, arguments.number("ceiling_bytes", 250'000'000)) {}

  void measure(const test::OpCase& each) {
    const test::TensorSet tensors(*device_, each.tensors, test::Precision::declared);
    if (each.prepare) each.prepare(*ops_, *stream_, tensors);
    const auto call = [&] { each.call(*ops_, *stream_, tensors); };
    call();
    const std::int64_t calls = calls_per_slice(cost_of(call).seconds);
    for (std::int64_t round = 0; round < rounds_; ++round) {
      const Cost cost = cost_of([&] {
        for (std::int64_t repeat = 0; repeat < calls; ++repeat) call();
      });
      const double amount = each.flops > 0 ? each.flops : each.bytes();
      print_sample(each.name, "ferula", amount * static_cast<double>(calls), each.flops > 0 ? "FLOP" : "B", cost);
      print_ceiling(each);
    }
  }

 private:
  void print_ceiling(const test::OpCase& each) {
    if (each.flops > 0) {
      const bool narrow = each.name.find("bf16") != std::string::npos;
      const Arithmetic probe = (narrow ? probe_bf16_arithmetic : probe_arithmetic)(arithmetic_rounds_);
      return print_sample(each.name, "ceiling", probe.flops, "FLOP", probe.cost);
    }
    print_sample(each.name, "ceiling", memory_.sweep_bytes(), "B", memory_.sweep());
  }

  std::int64_t rounds_, arithmetic_rounds_;
  MemoryLedger ledger_;
  std::unique_ptr<Device> device_;
  std::unique_ptr<Stream> stream_;
  std::unique_ptr<Ops> ops_;
  StreamingCeiling memory_;
};

void run(const Arguments& arguments) {
  set_compute_threads(static_cast<int>(arguments.number("threads", 2)));
  pin_threads();
  Table table(arguments);
  const std::string only = arguments.word("only", "");
  for (const test::OpCase& each : arguments.number("toy", 0) == 0 ? test::timing_cases() : test::op_cases())
    if (each.name.find(only) != std::string::npos && each.bytes() > 0) table.measure(each);
}

}  // namespace
}  // namespace ferula::bench

int main(int count, char** words) { return ferula::bench::run_program(count, words, ferula::bench::run); }
