// The AdamW sweep with its bf16 copy, alone and behind the norm that clipping needs, in turns with what streams of the
// same bytes take: in place, and for the norm, which only reads, reading. elements=N rounds=N threads=N.

#include "arguments.hpp"
#include "ceilings.hpp"
#include "comm/node_place.hpp"
#include "ops/ops.hpp"

namespace ferula::bench {
namespace {

/// Bytes that one element costs at least: gradient, master and two moments read, the last three and a bf16 written.
constexpr double kBytesAnElement = 4 * 4 + 3 * 4 + 2;
/// The norm reads the gradient once more: no element may be updated before it is known.
constexpr double kBytesOfNorm = 4;

/// The memory of one flat range.
struct Range {
  Range(Device& device, Ops& ops, Stream& stream, std::int64_t elements) {
    for (Buffer* buffer : {&gradient, &master, &moment1, &moment2}) {
      *buffer = device.allocate(4 * elements, MemoryKind::optimizer);
      ops.fill(stream, buffer->flat(DType::f32), 0.02f);
    }
    value = device.allocate(2 * elements, MemoryKind::parameters);
    decay = {{0, elements, 0.1f}};
  }
  OptimizerRange view() const {
    return {.gradient = gradient.flat(DType::f32),
            .master = master.flat(DType::f32),
            .value = value.flat(DType::bf16),
            .moment1 = moment1.flat(DType::f32),
            .moment2 = moment2.flat(DType::f32),
            .decay = decay};
  }
  Buffer gradient, master, moment1, moment2, value;
  std::vector<DecaySegment> decay;
};

void run(const Arguments& arguments) {
  set_compute_threads(static_cast<int>(arguments.number("threads", 2)));
  pin_threads();
  MemoryLedger ledger;
  const auto device = make_cpu_device(ledger);
  const auto stream = device->make_stream();
  const auto ops = make_cpu_ops(*device);
  const std::int64_t elements = arguments.number("elements", 124'475'904);
  Range range(*device, *ops, *stream, elements);
  StreamingCeiling ceiling(*device, arguments.number("ceiling_bytes", 1'000'000'000));
  std::array<float, kStepScalars> scalars{1e-4f, 1.0f, 0.1f, 0.05f, 0.0f};
  const TensorView scalar_view(reinterpret_cast<std::byte*>(scalars.data()), DType::f32, {kStepScalars});
  double norm = 0;
  const TensorView norm_view(reinterpret_cast<std::byte*>(&norm), DType::f64, {1});
  const auto update = [&] { ops->optimizer_update(*stream, OptimizerRule{}, scalar_view, range.view()); };
  const auto amount = [&](double bytes) { return bytes * static_cast<double>(elements); };
  const auto norm_of_gradient = [&] { ops->sum_of_squares(*stream, range.view().gradient, norm_view); };
  for (std::int64_t round = -2; round < arguments.number("rounds", 15); ++round) {
    const Cost before = ceiling.sweep();
    const Cost alone = cost_of(update);
    const Cost between = ceiling.sweep(), read_before = ceiling.read();
    const Cost clipped = cost_of([&] {
      norm_of_gradient();
      update();
    });
    const Cost read_behind = ceiling.read(), behind = ceiling.sweep();
    if (round < 0) continue;
    print_sample("AdamW sweep", "ferula", amount(kBytesAnElement), "B", alone);
    print_sample("AdamW sweep", "ceiling", 2 * ceiling.sweep_bytes(), "B", before + between);
    const Cost streams = (between + behind).times(amount(kBytesAnElement) / (2 * ceiling.sweep_bytes())) +
                         (read_before + read_behind).times(amount(kBytesOfNorm) / (2 * ceiling.read_bytes()));
    const double touched = amount(kBytesAnElement + kBytesOfNorm);
    print_sample("AdamW with clipping", "ferula", touched, "B", clipped);
    print_sample("AdamW with clipping", "ceiling", touched, "B", streams);
    print_sample("AdamW with clipping", "streams in place", 2 * ceiling.sweep_bytes(), "B", between + behind);
  }
}

}  // namespace
}  // namespace ferula::bench

int main(int count, char** words) { return ferula::bench::run_program(count, words, ferula::bench::run); }
