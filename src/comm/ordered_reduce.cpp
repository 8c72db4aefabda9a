#include "comm/ordered_reduce.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <type_traits>

#include "base/narrow.hpp"

namespace ferula {
namespace {

constexpr std::int64_t kBlock = 2048;  // the accumulators stay in the first-level cache

template <class T>
using AccumulatorOf = std::conditional_t<std::is_same_v<T, bf16>, float, T>;

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
void reduce_as(std::span<const TensorView> sources, std::span<const TensorView> destinations) {
  using A = AccumulatorOf<T>;
  alignas(64) std::array<A, kBlock> total;
  const std::int64_t count = sources.front().count();
  for (std::int64_t begin = 0; begin < count; begin += kBlock) {
    const std::int64_t length = std::min(kBlock, count - begin);
    const auto elements = static_cast<std::size_t>(length);
    const std::span<const T> first = part_of<const T>(sources.front(), begin, length);
    for (std::size_t i = 0; i < elements; ++i) total[i] = static_cast<A>(first[i]);
    for (const TensorView& source : sources.subspan(1)) {
      const std::span<const T> next = part_of<const T>(source, begin, length);
      for (std::size_t i = 0; i < elements; ++i) total[i] = Combine::apply(total[i], static_cast<A>(next[i]));
    }
    for (const TensorView& destination : destinations) {
      const std::span<T> result = part_of<T>(destination, begin, length);
      for (std::size_t i = 0; i < elements; ++i) result[i] = static_cast<T>(total[i]);
    }
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
      return reduce_with<bf16>(sources, destinations, op);
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
