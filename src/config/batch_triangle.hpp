// The batch triangle: train_batch_size = micro batch · accumulation steps · data-parallel ranks.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace ferula {

/// What the user gave; absent values follow.
struct BatchRequest {
  std::optional<std::int64_t> train;
  std::optional<std::int64_t> micro;
  std::optional<std::int64_t> accumulation;
};

struct BatchTriple {
  std::int64_t train = 0;
  std::int64_t micro = 0;
  std::int64_t accumulation = 0;

  friend bool operator==(const BatchTriple&, const BatchTriple&) = default;
};

/// A legal triple, or the reason (DeepSpeed's words) why there is none.
struct BatchOutcome {
  BatchTriple triple;
  std::string problem;  // empty: the triple is legal
};

/// DeepSpeed's rules: what is missing follows by floor division, then the product must agree. With one size only the
/// accumulation is 1. `ranks` is the number of data-parallel ranks.
BatchOutcome solve_batch(const BatchRequest& request, std::int64_t ranks);

/// Up to `count` legal triples near to the request, the nearest first: fewest and smallest changes of the given values.
std::vector<BatchTriple> nearest_batches(const BatchRequest& request, std::int64_t ranks, std::size_t count);

}  // namespace ferula
