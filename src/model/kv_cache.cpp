#include "model/kv_cache.hpp"

namespace ferula {

std::int64_t kv_cache_bytes(const TransformerSpec& spec, DType compute, std::int64_t slots, std::int64_t length) {
  return 2 * spec.layers * slots * length * spec.kv_width() * bytes_of(compute);
}

KvCache::KvCache(Device& device, const TransformerSpec& spec, DType compute, std::int64_t slots, std::int64_t length)
    : compute_(compute),
      layers_(spec.layers),
      slots_(slots),
      length_(length),
      kv_heads_(spec.kv_heads),
      head_dim_(spec.head_dim),
      memory_(device.allocate(kv_cache_bytes(spec, compute, slots, length), MemoryKind::buffers)) {}

TensorView KvCache::part(std::int64_t index) const {
  return memory_.view(compute_, {2 * layers_, slots_, length_, kv_heads_ * head_dim_})
      .rows(index, 1)
      .reshaped({slots_, length_, kv_heads_, head_dim_});
}

}  // namespace ferula
