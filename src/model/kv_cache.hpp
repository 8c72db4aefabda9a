// Keys and values of the tokens that a generating model has already read.
#pragma once

#include "device/device.hpp"
#include "model/transformer_spec.hpp"

namespace ferula {

/// The keys and values of one layer, both [slots, length, kv_heads, head_dim] T.
struct BlockCache {
  TensorView keys;
  TensorView values;
};

/// Owns the cache of all layers, counted as `buffers`. A slot holds one sequence of at most `length` tokens; what is in
/// it is given by the positions of the batch, so a slot needs no clearing before another sequence uses it.
class KvCache {
 public:
  KvCache(Device& device, const TransformerSpec& spec, DType compute, std::int64_t slots, std::int64_t length);

  std::int64_t slots() const { return slots_; }
  std::int64_t length() const { return length_; }
  BlockCache of_layer(std::int64_t layer) const { return {part(2 * layer), part(2 * layer + 1)}; }

 private:
  TensorView part(std::int64_t index) const;

  DType compute_;
  std::int64_t layers_, slots_, length_, kv_heads_, head_dim_;
  Buffer memory_;
};

/// Bytes of such a cache.
std::int64_t kv_cache_bytes(const TransformerSpec& spec, DType compute, std::int64_t slots, std::int64_t length);

}  // namespace ferula
