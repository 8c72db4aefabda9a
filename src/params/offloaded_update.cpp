#include "params/offloaded_update.hpp"

#include <algorithm>

namespace ferula {
namespace {

/// The parts of `segments` within `extent`, counted from its beginning.
std::vector<DecaySegment> segments_within(std::span<const DecaySegment> segments, Extent extent) {
  std::vector<DecaySegment> within;
  for (const DecaySegment& segment : segments) {
    const Extent part = intersect({segment.begin, segment.begin + segment.count}, extent);
    if (part.count() > 0) within.push_back({part.begin - extent.begin, part.count(), segment.weight_decay});
  }
  return within;
}

}  // namespace

OffloadedUpdate::OffloadedUpdate(StoreMemory& memory, const StoreSettings& settings, Execution& execution)
    : execution_(&execution), host_(&memory.host()) {
  const std::int64_t half_bytes = offload_half_bytes(memory.ranges(), settings.offload);
  if (half_bytes == 0) return;
  const std::int64_t bytes = kOffloadHalves * half_bytes;
  staging_ = settings.offload.pin_memory ? execution.device.allocate_shared(bytes, MemoryKind::buffers)
                                         : host_->allocate(bytes, MemoryKind::buffers);
  for (std::int64_t half = 0; half < kOffloadHalves; ++half)
    halves_[static_cast<std::size_t>(half)].memory = staging_.flat(DType::u8).range(half * half_bytes, half_bytes);
  memory.for_each([&](ShardedRange& range) {
    if (range.is_offloaded()) append_chunks(range, settings.offload.chunk_elements);
  });
  ops_ = make_cpu_ops(*host_);
  processor_ = host_->make_stream();
  down_ = execution.device.make_side_stream("offload down");
  up_ = execution.device.make_side_stream("offload up");
}

void OffloadedUpdate::append_chunks(ShardedRange& range, std::int64_t chunk_elements) {
  for (std::int64_t begin = 0; begin < range.optimizer.count(); begin += chunk_elements) {
    const Extent extent{begin, std::min(begin + chunk_elements, range.optimizer.count())};
    decay_.push_back(segments_within(range.decay, extent));
    chunks_.push_back(chunk_of(range, extent, halves_[chunks_.size() % kOffloadHalves]));
  }
}

OffloadedUpdate::Chunk OffloadedUpdate::chunk_of(const ShardedRange& range, Extent extent, const Half& half) {
  const std::int64_t count = extent.count();
  const auto part = [&](const TensorView& whole) {
    return whole.empty() ? TensorView{} : whole.range(extent.begin, count);
  };
  const TensorView gradient(half.memory.data, DType::f32, {count});
  const TensorView value(half.memory.data + gradient.bytes(), range.layout.storage, {count});
  const bool has_own_master = range.has_own_master();
  return {.gradient = part(range.optimizer_gradient()),
          .value = part(range.optimizer_value()),
          .host = {.gradient = gradient,
                   .master = has_own_master ? part(range.master) : value,
                   .value = has_own_master ? value : TensorView{},
                   .moment1 = part(range.moment1),
                   .moment2 = part(range.moment2),
                   .decay = decay_.back()}};
}

void OffloadedUpdate::run(const OptimizerRule& rule, TensorView scalars) {
  if (chunks_.empty()) return;
  down_->wait(execution_->compute.record());
  start(0);
  for (std::size_t index = 0; index < chunks_.size(); ++index) {
    if (index + 1 < chunks_.size()) start(index + 1);
    finish(index, rule, scalars);
  }
  up_->synchronize();
}

/// Brings down what the update of a chunk reads, as soon as its half is free.
void OffloadedUpdate::start(std::size_t index) {
  const Chunk& chunk = chunks_[index];
  Half& half = halves_[index % kOffloadHalves];
  down_->wait(half.uploaded);
  const auto bring = [&](const TensorView& from, const TensorView& to) {
    execution_->device.copy(*down_, from.data, to.data, from.bytes());
  };
  bring(chunk.gradient, chunk.host.gradient);
  if (chunk.host.value.empty()) bring(chunk.value, chunk.host.master);
  half.downloaded = down_->record();
}

void OffloadedUpdate::finish(std::size_t index, const OptimizerRule& rule, TensorView scalars) {
  const Chunk& chunk = chunks_[index];
  Half& half = halves_[index % kOffloadHalves];
  down_->synchronize(half.downloaded.ticket);
  ops_->optimizer_update(*processor_, rule, scalars, chunk.host);
  const TensorView& made = chunk.host.value.empty() ? chunk.host.master : chunk.host.value;
  execution_->device.copy(*up_, made.data, chunk.value.data, made.bytes());
  half.uploaded = up_->record();
}

}  // namespace ferula
