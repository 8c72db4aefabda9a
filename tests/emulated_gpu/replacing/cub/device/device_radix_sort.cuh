// Stands in for CUB's header where kernels run on the processor.
#pragma once

#include <algorithm>
#include <numeric>
#include <vector>

#include "runtime.hpp"

namespace cub {

struct DeviceRadixSort {
  /// Stable, by bits [first_bit, end_bit) of the keys. Without memory it tells how much it wants.
  template <class Key, class Value>
  static cudaError_t SortPairs(void* memory, std::size_t& bytes, const Key* key, Key* sorted_key, const Value* value,
                               Value* sorted_value, int count, int first_bit, int end_bit, cudaStream_t stream) {
    bytes = 1;
    if (memory == nullptr) return cudaSuccess;
    return ferula::emulated::enqueue(stream, [=] {
      const auto part = [=](Key whole) { return (whole & ((Key{2} << (end_bit - 1)) - 1)) >> first_bit; };
      std::vector<int> order(static_cast<std::size_t>(count));
      std::iota(order.begin(), order.end(), 0);
      std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return part(key[a]) < part(key[b]); });
      for (int at = 0; at < count; ++at) {
        sorted_key[at] = key[order[static_cast<std::size_t>(at)]];
        sorted_value[at] = value[order[static_cast<std::size_t>(at)]];
      }
    });
  }
};

}  // namespace cub
