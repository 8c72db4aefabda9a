// What every communicator asks of its operands before it touches a stream.
#pragma once

#include "comm/ordered_reduce.hpp"

namespace ferula {

inline void check_operand(const TensorView& view) {
  FERULA_CHECK(view.contiguous(), "a collective needs contiguous memory");
}

inline void check_reducible(DType dtype) {
  FERULA_CHECK(is_reducible(dtype), "cannot reduce {}: f32, f64, bf16, i32 and i64 can be", name_of(dtype));
}

/// `whole` has one part of the size of `shard` for each of `ranks`.
inline void check_parts(const TensorView& shard, const TensorView& whole, int ranks) {
  check_operand(shard);
  check_operand(whole);
  FERULA_CHECK(shard.dtype == whole.dtype, "shard is {}, whole is {}", name_of(shard.dtype), name_of(whole.dtype));
  FERULA_CHECK(whole.count() == shard.count() * ranks, "{} ranks with a shard of {} need a whole of {}, found {}",
               ranks, shard.count(), shard.count() * ranks, whole.count());
}

inline void check_root(int root, int ranks) {
  FERULA_CHECK(root >= 0 && root < ranks, "root {} of {} ranks", root, ranks);
}

inline void check_peer(int peer, int rank, int ranks) {
  FERULA_CHECK(peer >= 0 && peer < ranks && peer != rank, "rank {} of {} cannot exchange messages with rank {}", rank,
               ranks, peer);
}

}  // namespace ferula
