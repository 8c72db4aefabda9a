#include "app/bench_probes.hpp"

#include <algorithm>
#include <cmath>

#include "base/narrow.hpp"
#include "base/stopwatch.hpp"

namespace ferula {
namespace {

constexpr int kWarmUps = 2;

ProbeResult matrix_product(RankContext& context, const ProbeSettings& settings, DType dtype) {
  Execution& execution = context.execution;
  // A GPU's time is to be that of the product, not that of its launch.
  const bool on_gpu = execution.device.kind() == DeviceKind::cuda;
  const std::int64_t side = on_gpu ? 4096 : 1024;
  const int products = on_gpu ? 8 : 1;
  const std::int64_t bytes = side * side * bytes_of(dtype);
  const Buffer x = execution.device.allocate(bytes, MemoryKind::buffers);
  const Buffer w = execution.device.allocate(bytes, MemoryKind::buffers);
  const Buffer y = execution.device.allocate(bytes, MemoryKind::buffers);
  execution.ops.fill_normal(execution.compute, x.flat(dtype), 1, 0, 1.0f);
  execution.ops.fill_normal(execution.compute, w.flat(dtype), 2, 0, 1.0f);
  const std::unique_ptr<PreparedWeight> prepared = execution.ops.make_prepared(side, side, dtype);
  const WeightView weight{.values = w.view(dtype, {side, side}), .prepared = prepared.get(), .version = 1};
  const double operations = products * 2.0 * std::pow(static_cast<double>(side), 3) * context.mesh.size();
  const ProbeResult probe{"compute", fmt::format("matrix product {}", name_of(dtype)), "GFLOP/s", {}};
  return measured(context, settings, probe, operations, [&] {
    for (int product = 0; product < products; ++product)
      execution.ops.linear(execution.compute, x.view(dtype, {side, side}), weight, {}, y.view(dtype, {side, side}),
                           Accumulate::overwrite);
    execution.compute.synchronize();
  });
}

/// One collective among all ranks: `bus_share` is the part of the tensor that crosses each rank's link.
ProbeResult collective(RankContext& context, const ProbeSettings& settings, std::string name, double bus_share,
                       std::int64_t bytes, const std::function<void(Stream&)>& call) {
  Stream& stream = context.execution.communication;
  return measured(context, settings, {"collectives", std::move(name), "GB/s", {}},
                  static_cast<double>(bytes) * bus_share, [&] {
                    call(stream);
                    stream.synchronize();
                  });
}

}  // namespace

ProbeResult measured(RankContext& context, const ProbeSettings& settings, ProbeResult probe, double amount,
                     const std::function<void()>& work) {
  Stream& stream = context.execution.communication;
  for (int repetition = -kWarmUps; repetition < settings.repetitions; ++repetition) {
    barrier(context.mesh.world(), stream);
    const Stopwatch watch;
    work();
    const double seconds = agree_max(context.mesh.world(), stream, watch.seconds());
    if (repetition >= 0) probe.rates.push_back(amount / seconds * 1e-9);
  }
  std::sort(probe.rates.begin(), probe.rates.end());
  return probe;
}

std::vector<ProbeResult> probe_compute(RankContext& context, const ProbeSettings& settings) {
  return {matrix_product(context, settings, DType::f32), matrix_product(context, settings, DType::bf16)};
}

std::vector<ProbeResult> probe_memory(RankContext& context, const ProbeSettings& settings) {
  Execution& execution = context.execution;
  const std::int64_t bytes = round_up(settings.bytes, 64);
  const Buffer from = execution.device.allocate(bytes, MemoryKind::buffers);
  const Buffer to = execution.device.allocate(bytes, MemoryKind::buffers);
  const Buffer total = execution.device.allocate(sizeof(double), MemoryKind::buffers);
  const double all_bytes = static_cast<double>(bytes) * context.mesh.size();
  ProbeResult read = measured(context, settings, {"memory", "read", "GB/s", {}}, all_bytes, [&] {
    execution.ops.sum_of_squares(execution.compute, from.flat(DType::f32), total.flat(DType::f64));
    execution.compute.synchronize();
  });
  ProbeResult copy = measured(context, settings, {"memory", "copy", "GB/s", {}}, 2.0 * all_bytes, [&] {
    execution.ops.copy(execution.compute, from.flat(DType::f32), to.flat(DType::f32));
    execution.compute.synchronize();
  });
  return {std::move(read), std::move(copy)};
}

std::vector<ProbeResult> probe_collectives(RankContext& context, const ProbeSettings& settings) {
  const std::int64_t ranks = context.mesh.size();
  if (ranks == 1) return {};
  Communicator& world = context.mesh.world();
  const std::int64_t bytes = round_up(settings.bytes, ranks * 64);
  const Buffer memory = world.allocate(bytes, MemoryKind::buffers);
  const TensorView whole = memory.flat(DType::bf16);
  const TensorView mine = whole.range(world.rank() * (whole.count() / ranks), whole.count() / ranks);
  const double share = static_cast<double>(ranks - 1) / static_cast<double>(ranks);
  std::vector<ProbeResult> results;
  results.push_back(collective(context, settings, "all-reduce bf16", 2.0 * share, bytes,
                               [&](Stream& stream) { world.all_reduce(stream, whole, ReduceOp::sum); }));
  results.push_back(collective(context, settings, "all-gather bf16", share, bytes,
                               [&](Stream& stream) { world.all_gather(stream, mine, whole); }));
  results.push_back(collective(context, settings, "reduce-scatter bf16", share, bytes,
                               [&](Stream& stream) { world.reduce_scatter(stream, whole, mine, ReduceOp::sum); }));
  results.push_back(collective(context, settings, "broadcast bf16", 1.0, bytes,
                               [&](Stream& stream) { world.broadcast(stream, whole, 0); }));
  return results;
}

std::vector<ProbeResult> probe_disk(RankContext& context, const ProbeSettings& settings) {
  const std::string path =
      join_path(settings.directory, fmt::format(".ferula-bench-{}-{}", context.mesh.host(), context.mesh.rank()));
  const std::vector<std::byte> content(static_cast<std::size_t>(settings.bytes), std::byte{0x5a});
  ProbeResult result = measured(context, settings, {"disk", "write and fsync", "GB/s", {}},
                                static_cast<double>(settings.bytes) * context.mesh.size(), [&] {
                                  context.files.remove(path);
                                  const std::unique_ptr<File> file = context.files.open(path, OpenMode::create);
                                  file->write_at(0, content);
                                  file->sync();
                                });
  context.files.remove(path);
  return {std::move(result)};
}

}  // namespace ferula
