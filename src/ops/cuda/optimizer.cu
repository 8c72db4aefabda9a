// Adam, SGD and Lion: one sweep over gradient, master, moments and the bf16 copy.
#include <vector>

#include "ops/cuda/launch.hpp"
#include "ops/cuda/optimizer.hpp"
#include "ops/cuda/previous_kernel.cuh"
#include "ops/cuda/rows.cuh"
#include "ops/optimizer_range.hpp"

namespace ferula::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kElements = 4;     // of a thread at once
constexpr int kMostPieces = 64;  // of one launch
constexpr int kBlocksEach = 8;   // of a multiprocessor: the scalars may lie in host memory, so few blocks read them

/// Pieces of the range that share a weight decay: piece p ends at end[p]; the first begins with the sweep.
struct DecayPieces {
  std::int64_t end[kMostPieces];
  float decay[kMostPieces];
  int count;
};

/// The rule's constants in f32, as on the CPU.
struct Rule {
  float beta1, complement1, beta2, complement2, eps, momentum;
  bool nesterov, decoupled, corrected;
};

struct Range {
  const float* gradient;
  float* master;
  bfloat* value;   // null when the model is f32
  float* moment1;  // null where the rule has none
  float* moment2;
  std::int64_t begin, end;  // elements of this launch
  bool wide;                // all of them can be moved four at a time
};

/// What a step's scalars come to; the same for all threads.
struct Step {
  float lr, scale, step, root, kept;
};

__device__ __forceinline__ Step step_of(const float* scalars, const Rule& rule) {
  const double correction1 = rule.corrected ? scalars[kCorrection1] : 1.0;
  const double correction2 = rule.corrected ? scalars[kCorrection2] : 1.0;
  return {.lr = scalars[kLearningRate],
          .scale = scalars[kGradientScale],
          .step = static_cast<float>(scalars[kLearningRate] / correction1),
          .root = static_cast<float>(1.0 / sqrt(correction2)),
          .kept = scalars[kFirstStep] != 0.0f ? 0.0f : rule.momentum};
}

struct Element {
  float gradient, master, moment1, moment2;
};

/// torch.optim.Adam and AdamW: master −= lr / correction1 · m / (√v / √correction2 + eps).
struct Adam {
  static __device__ __forceinline__ float direction(const Rule& rule, const Step& step, Element& e) {
    e.moment1 = fmaf(rule.beta1, e.moment1, rule.complement1 * e.gradient);
    e.moment2 = fmaf(rule.beta2, e.moment2, rule.complement2 * e.gradient * e.gradient);
    return step.step * (e.moment1 / fmaf(sqrtf(e.moment2), step.root, rule.eps));
  }
};

/// torch.optim.SGD without dampening, with a buffer of momentum.
struct Momentum {
  static __device__ __forceinline__ float direction(const Rule& rule, const Step& step, Element& e) {
    e.moment1 = fmaf(step.kept, e.moment1, e.gradient);
    return step.lr * (rule.nesterov ? fmaf(rule.momentum, e.moment1, e.gradient) : e.moment1);
  }
};

struct PlainSgd {
  static __device__ __forceinline__ float direction(const Rule&, const Step& step, Element& e) {
    return step.lr * e.gradient;
  }
};

/// Chen et al. 2023, Algorithm 2: the sign is 0 of 0, NaN of NaN.
struct Lion {
  static __device__ __forceinline__ float direction(const Rule& rule, const Step& step, Element& e) {
    const float mixed = fmaf(rule.beta1, e.moment1, rule.complement1 * e.gradient);
    e.moment1 = fmaf(rule.beta2, e.moment1, rule.complement2 * e.gradient);
    return step.lr * (fabsf(mixed) > 0.0f ? copysignf(1.0f, mixed) : mixed);
  }
};

template <class Kind>
__device__ __forceinline__ void update(const Rule& rule, const Step& step, float decay, Element& e) {
  e.gradient *= step.scale;
  if (!rule.decoupled) e.gradient = fmaf(decay, e.master, e.gradient);
  const float shrink = rule.decoupled ? 1.0f - step.lr * decay : 1.0f;
  e.master = e.master * shrink - Kind::direction(rule, step, e);
}

/// The first piece that ends behind `index`.
__device__ __forceinline__ int piece_of(const DecayPieces& pieces, std::int64_t index) {
  int low = 0, high = pieces.count - 1;
  while (low < high) {
    const int middle = (low + high) / 2;
    if (pieces.end[middle] <= index)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

template <class Kind>
__device__ __forceinline__ void update_at(const Rule& rule, const Step& step, const Range& range,
                                          const DecayPieces& pieces, std::int64_t at) {
  Element e{range.gradient[at], range.master[at], range.moment1 != nullptr ? range.moment1[at] : 0.0f,
            range.moment2 != nullptr ? range.moment2[at] : 0.0f};
  update<Kind>(rule, step, pieces.decay[piece_of(pieces, at)], e);
  range.master[at] = e.master;
  if (range.moment1 != nullptr) range.moment1[at] = e.moment1;
  if (range.moment2 != nullptr) range.moment2[at] = e.moment2;
  if (range.value != nullptr) range.value[at] = from_float<bfloat>(e.master);
}

/// Four elements under one decay.
template <class Kind>
__device__ __forceinline__ void update_four(const Rule& rule, const Step& step, const Range& range, float decay,
                                            std::int64_t at) {
  float gradient[kElements], master[kElements], moment1[kElements] = {}, moment2[kElements] = {};
  load<kElements>(range.gradient + at, gradient);
  load<kElements>(range.master + at, master);
  if (range.moment1 != nullptr) load<kElements>(range.moment1 + at, moment1);
  if (range.moment2 != nullptr) load<kElements>(range.moment2 + at, moment2);
#pragma unroll
  for (int i = 0; i < kElements; ++i) {
    Element e{gradient[i], master[i], moment1[i], moment2[i]};
    update<Kind>(rule, step, decay, e);
    master[i] = e.master;
    moment1[i] = e.moment1;
    moment2[i] = e.moment2;
  }
  store<kElements>(master, range.master + at);
  if (range.moment1 != nullptr) store<kElements>(moment1, range.moment1 + at);
  if (range.moment2 != nullptr) store<kElements>(moment2, range.moment2 + at);
  if (range.value != nullptr) store<kElements>(master, range.value + at);
}

template <class Kind>
__global__ void __launch_bounds__(kThreads)
    optimizer_kernel(Rule rule, const float* scalars, Range range, const __grid_constant__ DecayPieces pieces) {
  await_previous_kernel();
  __shared__ Step shared;
  if (threadIdx.x == 0) shared = step_of(scalars, rule);
  __syncthreads();
  const Step step = shared;
  constexpr std::int64_t kTile = kThreads * kElements;
  for (std::int64_t tile = range.begin + blockIdx.x * kTile; tile < range.end; tile += gridDim.x * kTile) {
    const std::int64_t tile_end = min(tile + kTile, range.end);
    const int piece = piece_of(pieces, tile);  // the same for all threads
    if (range.wide && tile_end == tile + kTile && pieces.end[piece] >= tile_end) {
      update_four<Kind>(rule, step, range, pieces.decay[piece], tile + threadIdx.x * kElements);
      continue;
    }
    for (std::int64_t at = tile + threadIdx.x; at < tile_end; at += kThreads)
      update_at<Kind>(rule, step, range, pieces, at);
  }
}

/// The whole range as pieces [.., end) with one decay each; elements outside of all segments have none.
std::vector<DecaySegment> pieces_of(std::span<const DecaySegment> segments, std::int64_t count) {
  std::vector<DecaySegment> pieces;
  const auto append = [&](std::int64_t begin, std::int64_t end, float decay) {
    if (begin >= end) return;
    if (!pieces.empty() && pieces.back().weight_decay == decay)
      pieces.back().count += end - begin;
    else
      pieces.push_back({begin, end - begin, decay});
  };
  std::int64_t done = 0;
  for (const DecaySegment& segment : segments) {
    FERULA_CHECK(segment.begin >= done && segment.begin + segment.count <= count,
                 "a segment [{}, {}) behind {} in a range of {}", segment.begin, segment.begin + segment.count, done,
                 count);
    append(done, segment.begin, 0.0f);
    append(segment.begin, segment.begin + segment.count, segment.weight_decay);
    done = segment.begin + segment.count;
  }
  append(done, count, 0.0f);
  return pieces;
}

Rule constants_of(const OptimizerRule& rule) {
  return {.beta1 = static_cast<float>(rule.beta1),
          .complement1 = static_cast<float>(1.0 - rule.beta1),
          .beta2 = static_cast<float>(rule.beta2),
          .complement2 = static_cast<float>(1.0 - rule.beta2),
          .eps = static_cast<float>(rule.eps),
          .momentum = static_cast<float>(rule.momentum),
          .nesterov = rule.nesterov,
          .decoupled = rule.decoupled_decay,
          .corrected = rule.bias_correction};
}

/// Which of the range's arrays the rule uses.
Range pointers_of(const OptimizerRule& rule, const OptimizerRange& range) {
  const auto aligned = [](const TensorView& view, std::uintptr_t bytes) {
    return reinterpret_cast<std::uintptr_t>(view.data) % bytes == 0;
  };
  return {.gradient = elements<const float>(range.gradient),
          .master = elements<float>(range.master),
          .value = range.value.empty() ? nullptr : elements<bfloat>(range.value),
          .moment1 = keeps_moment1(rule) ? elements<float>(range.moment1) : nullptr,
          .moment2 = keeps_moment2(rule) ? elements<float>(range.moment2) : nullptr,
          .begin = 0,
          .end = 0,
          .wide = aligned(range.gradient, 16) && aligned(range.master, 16) && aligned(range.value, 8) &&
                  aligned(range.moment1, 16) && aligned(range.moment2, 16)};
}

template <class Kind>
void launch(int multiprocessors, cudaStream_t stream, const Rule& rule, const float* scalars, const Range& range,
            const DecayPieces& pieces) {
  const std::int64_t most = static_cast<std::int64_t>(multiprocessors) * kBlocksEach;
  const std::int64_t blocks = std::min(most, ceil_div(range.end - range.begin, kThreads * kElements));
  launch_kernel({stream, static_cast<unsigned>(blocks), kThreads}, "optimizer", optimizer_kernel<Kind>, rule, scalars,
                range, pieces);
}

void launch_kind(const OptimizerRule& rule, int multiprocessors, cudaStream_t stream, const float* scalars,
                 const Range& range, const DecayPieces& pieces) {
  const Rule constants = constants_of(rule);
  switch (rule.kind) {
    case OptimizerKind::adam:
      return launch<Adam>(multiprocessors, stream, constants, scalars, range, pieces);
    case OptimizerKind::lion:
      return launch<Lion>(multiprocessors, stream, constants, scalars, range, pieces);
    case OptimizerKind::sgd:
      return rule.momentum != 0.0 ? launch<Momentum>(multiprocessors, stream, constants, scalars, range, pieces)
                                  : launch<PlainSgd>(multiprocessors, stream, constants, scalars, range, pieces);
  }
}

}  // namespace

void optimizer_update(int multiprocessors, cudaStream_t stream, const OptimizerRule& rule, TensorView scalars,
                      const OptimizerRange& range) {
  FERULA_CHECK(scalars.count() == kStepScalars, "{} scalars of a step", scalars.count());
  check_range(rule, range);
  const std::vector<DecaySegment> all = pieces_of(range.decay, range.master.count());
  Range part = pointers_of(rule, range);
  for (std::size_t first = 0; first < all.size(); first += kMostPieces) {
    DecayPieces pieces{};
    for (; pieces.count < kMostPieces && first + static_cast<std::size_t>(pieces.count) < all.size(); ++pieces.count) {
      const DecaySegment& each = all[first + static_cast<std::size_t>(pieces.count)];
      pieces.end[pieces.count] = each.begin + each.count;
      pieces.decay[pieces.count] = each.weight_decay;
    }
    part.begin = all[first].begin;
    part.end = pieces.end[pieces.count - 1];
    launch_kind(rule, multiprocessors, stream, elements<const float>(scalars), part, pieces);
    part.wide = part.wide && part.end % kElements == 0;  // the next launch begins there
  }
}

}  // namespace ferula::cuda
