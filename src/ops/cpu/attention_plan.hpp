// How attention calls are checked, cut into tiles and given scratch: what the forward and backward passes share.
#pragma once

#include <initializer_list>
#include <span>

#include "ops/cpu/attention_tile.hpp"
#include "ops/cpu/workspace.hpp"
#include "ops/ops.hpp"

namespace ferula::cpu {

/// One head of one query tile. Rows of k and v are the keys that its last query sees.
struct ForwardTile {
  TensorView q;                  // [queries, head_dim]
  TensorView k, v;               // [first_query + queries, head_dim]
  TensorView out;                // [queries, head_dim]
  std::span<float> logsumexp;    // [queries]
  std::int64_t first_query = 0;  // row of the first query within its sequence
  float scale = 1.0f;
};

/// One key head of one sequence with the query heads that share it.
struct BackwardHead {
  TensorView q, out, dout, dq;  // [length, query heads, head_dim]
  TensorView k, v, dk, dv;      // [length, head_dim]
  TensorView logsumexp;         // [query heads, length]
  float scale = 1.0f;
};

/// The query heads of one row that share one key head, against the keys of the row's cache slot.
struct CachedHead {
  TensorView q, out;  // [query heads, head_dim]
  TensorView k, v;    // [keys, head_dim]
  float scale = 1.0f;
};

/// Where a query tile lies.
struct QueryTile {
  std::int64_t head = 0;
  std::int64_t begin = 0;        // first row of its sequence
  std::int64_t first_query = 0;  // of the tile, counted from there
  std::int64_t queries = 0;
};

/// Query tiles of all sequences and heads.
std::int64_t count_tiles(std::span<const std::int32_t> starts, std::int64_t heads);
/// The tile of that index. Tiles of one head and sequence follow each other, because they share keys that then stay in
/// the cache; the longest comes first.
QueryTile find_tile(std::span<const std::int32_t> starts, std::int64_t heads, std::int64_t index);
/// Rows of the longest sequence.
std::int64_t longest_sequence(std::span<const std::int32_t> starts);

/// Fails a FERULA_CHECK where shapes, types or sequence bounds contradict the contract of ops.hpp.
void check_attention_shapes(const AttentionSpec& spec, std::initializer_list<TensorView> like_q,
                            std::initializer_list<TensorView> like_k, const TensorView& starts,
                            const TensorView& logsumexp);

/// Whether products of operands like `q` are those of pairs of bf16.
bool multiplies_pairs(const TensorView& q);

/// Bytes of the workspace for so many floats a thread.
std::int64_t thread_scratch_bytes(std::int64_t floats_per_thread);

/// Equal pieces of the workspace for the OpenMP threads that share `items` pieces of work.
class ThreadScratch {
 public:
  ThreadScratch(Workspace& workspace, std::int64_t floats_per_thread, std::int64_t items);
  int threads() const { return threads_; }
  std::span<float> of_thread(int thread) const;

 private:
  std::int64_t stride_;  // floats from one thread's piece to the next
  int threads_;
  Workspace::Lease lease_;
  TensorView pieces_;  // [threads, stride]
};

}  // namespace ferula::cpu
