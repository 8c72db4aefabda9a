#include "comm/ordered_reduce.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/narrow.hpp"

namespace ferula {
namespace {

constexpr std::int64_t kBlock = 2048;  // the accumulators stay in the first-level cache

// The conversions of bf16 profit from wide vectors: one version for each level of the processor, chosen when loaded.
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)  // which is not ready yet when versions are chosen
#define FERULA_EACH_VECTOR_LEVEL [[gnu::target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")]]
#else
#define FERULA_EACH_VECTOR_LEVEL
#endif

FERULA_EACH_VECTOR_LEVEL void widen(std::span<const bf16> from, std::span<float> to) {
  for (std::size_t i = 0; i < from.size(); ++i) to[i] = static_cast<float>(from[i]);
}

FERULA_EACH_VECTOR_LEVEL void round(std::span<const float> from, std::span<bf16> to) {
  for (std::size_t i = 0; i < to.size(); ++i) to[i] = bf16(from[i]);
}

struct Sum {
  template <class A>
  static A apply(A left, A right) {
    return left + right;
  }
};

struct Max {
  template <class A>
  static A apply(A left, A right) {
    return right > left || right != right ? right : left;
  }
};

/// Memory of peers carries no alignment promise beyond the element's own.
template <class T>
std::span<T> part_of(const TensorView& view, std::int64_t begin, std::int64_t length) {
  return {reinterpret_cast<T*>(view.data) + begin, static_cast<std::size_t>(length)};
}

template <class T, class Combine>
void combine(std::span<T> total, std::span<const T> next) {
  for (std::size_t i = 0; i < next.size(); ++i) total[i] = Combine::apply(total[i], next[i]);
}

/// Few sources in one pass, so that loads of all of them overlap with the stores.
template <class T, class Combine, std::size_t kSources, std::size_t kDestinations>
void reduce_at_once(std::span<const TensorView> sources, std::span<const TensorView> destinations) {
  std::array<const T*, kSources> from;
  std::array<T*, kDestinations> to;
  std::transform(sources.begin(), sources.end(), from.begin(), [](const TensorView& view) { return view.as<T>(); });
  std::transform(destinations.begin(), destinations.end(), to.begin(),
                 [](const TensorView& view) { return view.as<T>(); });
  const std::int64_t count = sources.front().count();
#pragma GCC ivdep  // a destination is a source or lies elsewhere
  for (std::int64_t i = 0; i < count; ++i) {
    T total = from[0][i];
    for (std::size_t source = 1; source < kSources; ++source) total = Combine::apply(total, from[source][i]);
    for (std::size_t target = 0; target < kDestinations; ++target) to[target][i] = total;
  }
}

/// False where there are other numbers of them.
template <class T, class Combine, std::size_t kSources>
bool try_at_once(std::span<const TensorView> sources, std::span<const TensorView> destinations) {
  if (sources.size() != kSources) return false;
  if (destinations.size() == 1) {
    reduce_at_once<T, Combine, kSources, 1>(sources, destinations);
  } else if (destinations.size() == kSources) {
    reduce_at_once<T, Combine, kSources, kSources>(sources, destinations);
  } else {
    return false;
  }
  return true;
}

template <class T, class Combine>
void reduce_in_blocks(std::span<const TensorView> sources, std::span<const TensorView> destinations) {
  alignas(64) std::array<T, kBlock> total;
  const std::int64_t count = sources.front().count();
  for (std::int64_t begin = 0; begin < count; begin += kBlock) {
    const std::int64_t length = std::min(kBlock, count - begin);
    const std::span<const T> first = part_of<const T>(sources.front(), begin, length);
    std::copy(first.begin(), first.end(), total.begin());
    for (const TensorView& source : sources.subspan(1))
      combine<T, Combine>(total, part_of<const T>(source, begin, length));
    for (const TensorView& destination : destinations)
      std::copy_n(total.begin(), length, part_of<T>(destination, begin, length).begin());
  }
}

template <class T, class Combine>
void reduce_as(std::span<const TensorView> sources, std::span<const TensorView> destinations) {
  const bool done = try_at_once<T, Combine, 2>(sources, destinations) ||
                    try_at_once<T, Combine, 3>(sources, destinations) ||
                    try_at_once<T, Combine, 4>(sources, destinations);
  if (!done) reduce_in_blocks<T, Combine>(sources, destinations);
}

template <class Combine>
void reduce_bf16(std::span<const TensorView> sources, std::span<const TensorView> destinations) {
  alignas(64) std::array<float, kBlock> total, next;
  alignas(64) std::array<bf16, kBlock> rounded;
  const std::int64_t count = sources.front().count();
  for (std::int64_t begin = 0; begin < count; begin += kBlock) {
    const std::int64_t length = std::min(kBlock, count - begin);
    const auto elements = static_cast<std::size_t>(length);
    widen(part_of<const bf16>(sources.front(), begin, length), total);
    for (const TensorView& source : sources.subspan(1)) {
      widen(part_of<const bf16>(source, begin, length), next);
      combine<float, Combine>(total, std::span<const float>(next).first(elements));
    }
    round(total, std::span<bf16>(rounded).first(elements));
    for (const TensorView& destination : destinations)
      std::copy_n(rounded.begin(), length, part_of<bf16>(destination, begin, length).begin());
  }
}

template <class T>
void reduce_with(std::span<const TensorView> sources, std::span<const TensorView> destinations, ReduceOp op) {
  if (op == ReduceOp::sum) {
    reduce_as<T, Sum>(sources, destinations);
  } else {
    reduce_as<T, Max>(sources, destinations);
  }
}

}  // namespace

bool is_reducible(DType dtype) {
  return dtype == DType::f32 || dtype == DType::f64 || dtype == DType::bf16 || dtype == DType::i32 ||
         dtype == DType::i64;
}

void reduce_in_order(std::span<const TensorView> sources, std::span<const TensorView> destinations, ReduceOp op) {
  FERULA_CHECK(!sources.empty() && !destinations.empty(), "nothing to reduce");
  switch (sources.front().dtype) {
    case DType::f32:
      return reduce_with<float>(sources, destinations, op);
    case DType::f64:
      return reduce_with<double>(sources, destinations, op);
    case DType::bf16:
      return op == ReduceOp::sum ? reduce_bf16<Sum>(sources, destinations) : reduce_bf16<Max>(sources, destinations);
    case DType::i32:
      return reduce_with<std::int32_t>(sources, destinations, op);
    case DType::i64:
      return reduce_with<std::int64_t>(sources, destinations, op);
    default:
      FERULA_CHECK(false, "cannot reduce {}", name_of(sources.front().dtype));
  }
}

void copy_elements(const TensorView& from, const TensorView& to) {
  FERULA_CHECK(from.bytes() == to.bytes(), "cannot copy {} bytes to {}", from.bytes(), to.bytes());
  if (from.data != to.data && !from.empty()) std::memcpy(to.data, from.data, narrow<std::size_t>(from.bytes()));
}

}  // namespace ferula
