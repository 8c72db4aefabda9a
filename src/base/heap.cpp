// The one call of glibc's malloc settings.
#include "base/heap.hpp"

#include <malloc.h>

namespace ferula {

void return_large_pieces_at_once() {
  constexpr int kLeastMapped = 128 << 10;
  mallopt(M_MMAP_THRESHOLD, kLeastMapped);  // a fixed value also ends its adjustment
}

}  // namespace ferula
