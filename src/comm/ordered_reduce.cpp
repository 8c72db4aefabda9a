#include "comm/ordered_reduce.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <type_traits>

namespace ferula {
namespace {

// Wide vectors pay for what is in a cache and for conversions: one version a level of the processor, chosen when
// loaded.
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)  // which is not ready yet when versions are chosen
#define FERULA_EACH_VECTOR_LEVEL [[gnu::target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")]]
#else
#define FERULA_EACH_VECTOR_LEVEL
#endif

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

using Views = std::span<const TensorView>;

/// In what elements of T are added.
template <class T>
using Wide = std::conditional_t<std::is_same_v<T, bf16>, float, T>;

/// Elements in a cache line. One line of all sources is read before it is written to all destinations: loads and stores
/// of many lines are then on their way at once, and no load waits for the store of a stream that lies a page apart.
template <class T>
constexpr std::int64_t kLine = 64 / sizeof(T);

/// Memory of peers carries no alignment promise beyond the element's own.
template <class T>
[[gnu::always_inline]] inline T* part_of(const TensorView& view, std::int64_t begin) {
  return reinterpret_cast<T*>(view.data) + begin;
}

/// `length`: a number, or a constant, which makes vectors of the loops.
template <class T, class Combine, class Length>
[[gnu::always_inline]] inline void reduce_line(Views sources, Views destinations, std::int64_t begin, Length length) {
  std::array<Wide<T>, kLine<T>> total;
  std::array<T, kLine<T>> result;
  const T* const first = part_of<const T>(sources.front(), begin);
  for (std::int64_t i = 0; i < length; ++i) total[static_cast<std::size_t>(i)] = static_cast<Wide<T>>(first[i]);
  for (const TensorView& source : sources.subspan(1)) {
    const T* const next = part_of<const T>(source, begin);
    for (std::int64_t i = 0; i < length; ++i) {
      Wide<T>& sum = total[static_cast<std::size_t>(i)];
      sum = Combine::apply(sum, static_cast<Wide<T>>(next[i]));
    }
  }
  for (std::int64_t i = 0; i < length; ++i)
    result[static_cast<std::size_t>(i)] = static_cast<T>(total[static_cast<std::size_t>(i)]);
  for (const TensorView& destination : destinations)
    std::memcpy(part_of<T>(destination, begin), result.data(), static_cast<std::size_t>(length) * sizeof(T));
}

template <class T, class Combine>
[[gnu::always_inline]] inline void reduce_lines(Views sources, Views destinations) {
  const std::int64_t count = sources.front().count(), whole = count / kLine<T> * kLine<T>;
  for (std::int64_t begin = 0; begin < whole; begin += kLine<T>)
    reduce_line<T, Combine>(sources, destinations, begin, std::integral_constant<std::int64_t, kLine<T>>());
  if (whole < count) reduce_line<T, Combine>(sources, destinations, whole, count - whole);
}

// A function each, since versions cannot be made of templates.
FERULA_EACH_VECTOR_LEVEL void add_f32(Views sources, Views destinations) {
  reduce_lines<float, Sum>(sources, destinations);
}
FERULA_EACH_VECTOR_LEVEL void add_bf16(Views sources, Views destinations) {
  reduce_lines<bf16, Sum>(sources, destinations);
}

template <class T>
void reduce_as(Views sources, Views destinations, ReduceOp op) {
  if (op == ReduceOp::max) return reduce_lines<T, Max>(sources, destinations);
  if constexpr (std::is_same_v<T, float>) {
    add_f32(sources, destinations);
  } else if constexpr (std::is_same_v<T, bf16>) {
    add_bf16(sources, destinations);
  } else {
    reduce_lines<T, Sum>(sources, destinations);
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
      return reduce_as<float>(sources, destinations, op);
    case DType::f64:
      return reduce_as<double>(sources, destinations, op);
    case DType::bf16:
      return reduce_as<bf16>(sources, destinations, op);
    case DType::i32:
      return reduce_as<std::int32_t>(sources, destinations, op);
    case DType::i64:
      return reduce_as<std::int64_t>(sources, destinations, op);
    default:
      FERULA_CHECK(false, "cannot reduce {}", name_of(sources.front().dtype));
  }
}

}  // namespace ferula
