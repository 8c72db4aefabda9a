// The ceilings beside what they cannot exceed: arithmetic beside the peak that follows from the clock, streams beside
// streams of half the length (equal where no cache holds either), matrix products beside the arithmetic.
// rounds=N threads=N arithmetic_rounds=N ceiling_bytes=N side=N
#include "ceilings.hpp"

#include "arguments.hpp"
#include "comm/node_place.hpp"
#include "ops/ops.hpp"

namespace ferula::bench {
namespace {

constexpr int kProducts = 8;  // of one sample

/// A square product in f32 with a packed factor, as a layer has it.
class Product {
 public:
  Product(Device& device, Ops& ops, Stream& stream, std::int64_t side)
      : ops_(&ops), stream_(&stream), side_(side), prepared_(ops.make_prepared(side, side, DType::f32)) {
    for (Buffer* buffer : {&x_, &w_, &y_}) *buffer = device.allocate(4 * side * side, MemoryKind::buffers);
    ops.fill_normal(stream, x_.flat(DType::f32), 1, 0, 1.0f);
    ops.fill_normal(stream, w_.flat(DType::f32), 2, 0, 1.0f);
  }
  void operator()() {
    const WeightView weight{.values = view(w_), .prepared = prepared_.get(), .version = 1};
    ops_->linear(*stream_, view(x_), weight, {}, view(y_), Accumulate::overwrite);
  }
  double flops() const { return 2.0 * static_cast<double>(side_ * side_ * side_); }

 private:
  TensorView view(const Buffer& buffer) const { return buffer.view(DType::f32, {side_, side_}); }
  Ops* ops_;
  Stream* stream_;
  std::int64_t side_;
  std::unique_ptr<PreparedWeight> prepared_;
  Buffer x_, w_, y_;
};

void run(const Arguments& arguments) {
  const auto threads = static_cast<int>(arguments.number("threads", 2));
  set_compute_threads(threads);
  pin_threads();
  MemoryLedger ledger;
  const auto device = make_cpu_device(ledger);
  const auto stream = device->make_stream();
  const auto ops = make_cpu_ops(*device);
  const std::int64_t bytes = arguments.number("ceiling_bytes", 1'000'000'000);
  StreamingCeiling memory(*device, bytes), half(*device, bytes / 2);
  Product product(*device, *ops, *stream, arguments.number("side", 1024));
  for (std::int64_t round = -1; round < arguments.number("rounds", 10); ++round) {
    const double peak = theoretical_flops_per_cycle() * threads * probe_clock();
    const Arithmetic arithmetic = probe_arithmetic(arguments.number("arithmetic_rounds", 20'000'000));
    const Cost multiplied = cost_of([&] {
      for (int repeat = 0; repeat < kProducts; ++repeat) product();
    });
    const Cost whole = memory.sweep(), part = half.sweep();
    const Cost read = memory.read(), part_read = half.read();
    if (round < 0) continue;
    const double possible = peak * arithmetic.cost.seconds;
    print_sample("f32 arithmetic", "ferula", arithmetic.flops, "FLOP", arithmetic.cost);
    print_sample("f32 arithmetic", "theoretical peak", possible, "FLOP", arithmetic.cost);
    print_sample("f32 matrix product", "ferula", kProducts * product.flops(), "FLOP", multiplied);
    print_sample("f32 matrix product", "ceiling", arithmetic.flops, "FLOP", arithmetic.cost);
    print_sample("streaming memory", "ferula", memory.sweep_bytes(), "B", whole);
    print_sample("streaming memory", "half the memory", half.sweep_bytes(), "B", part);
    print_sample("reading memory", "ferula", memory.read_bytes(), "B", read);
    print_sample("reading memory", "half the memory", half.read_bytes(), "B", part_read);
  }
}

}  // namespace
}  // namespace ferula::bench

int main(int count, char** words) { return ferula::bench::run_program(count, words, ferula::bench::run); }
