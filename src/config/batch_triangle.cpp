// DeepSpeed's _set_batch_related_parameters and _batch_assertion, with suggestions.
#include "config/batch_triangle.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace ferula {
namespace {

std::string problem_of(const BatchTriple& triple, std::int64_t ranks) {
  if (triple.train <= 0) return fmt::format("Train batch size: {} has to be greater than 0", triple.train);
  if (triple.micro <= 0) return fmt::format("Micro batch size per gpu: {} has to be greater than 0", triple.micro);
  if (triple.accumulation <= 0) {
    return fmt::format("Gradient accumulation steps: {} has to be greater than 0", triple.accumulation);
  }
  if (triple.train == triple.micro * triple.accumulation * ranks) return "";
  return fmt::format(
      "Check batch related parameters. train_batch_size is not equal to micro_batch_per_gpu * gradient_acc_step * "
      "world_size {} != {} * {} * {}",
      triple.train, triple.micro, triple.accumulation, ranks);
}

/// How far `value` is from what was given, as a ratio; nothing given is no distance.
double distance(std::optional<std::int64_t> given, std::int64_t value) {
  if (!given || *given <= 0) return 0.0;
  constexpr double kOneChange = 0.1;  // prefers one larger change to several small ones
  const double ratio = std::abs(std::log(static_cast<double>(value) / static_cast<double>(*given)));
  return ratio == 0.0 ? 0.0 : kOneChange + ratio;
}

double distance(const BatchRequest& request, const BatchTriple& triple) {
  return distance(request.train, triple.train) + distance(request.micro, triple.micro) +
         distance(request.accumulation, triple.accumulation);
}

/// All ways to share `samples` of one rank into micro batches.
void add_divisors(std::int64_t samples, std::int64_t ranks, std::vector<BatchTriple>& triples) {
  for (std::int64_t micro = 1; micro * micro <= samples; ++micro) {
    if (samples % micro != 0) continue;
    triples.push_back({samples * ranks, micro, samples / micro});
    triples.push_back({samples * ranks, samples / micro, micro});
  }
}

}  // namespace

BatchOutcome solve_batch(const BatchRequest& request, std::int64_t ranks) {
  if (!request.train && !request.micro) {
    return {{}, "Either train_batch_size or train_micro_batch_size_per_gpu needs to be provided"};
  }
  BatchTriple triple;
  if (request.train && request.micro) {
    triple = {*request.train, *request.micro, 0};
    triple.accumulation = request.accumulation.value_or(triple.micro > 0 ? triple.train / triple.micro / ranks : 0);
  } else {
    triple.accumulation = request.accumulation.value_or(1);
    if (request.train) {
      triple.train = *request.train;
      triple.micro = triple.accumulation > 0 ? triple.train / ranks / triple.accumulation : 0;
    } else {
      triple.micro = *request.micro;
      triple.train = triple.micro * triple.accumulation * ranks;
    }
  }
  return {triple, problem_of(triple, ranks)};
}

std::vector<BatchTriple> nearest_batches(const BatchRequest& request, std::int64_t ranks, std::size_t count) {
  constexpr std::int64_t kMostSamples = 1 << 24;  // of one rank: bounds the search for divisors
  std::vector<BatchTriple> triples;
  const std::int64_t wanted = request.train.value_or(request.micro.value_or(1) * ranks);
  for (const std::int64_t samples : {wanted / ranks, wanted / ranks + 1}) {
    if (samples >= 1 && samples <= kMostSamples) add_divisors(samples, ranks, triples);
  }
  if (request.micro && request.accumulation && *request.micro > 0 && *request.accumulation > 0) {
    triples.push_back({*request.micro * *request.accumulation * ranks, *request.micro, *request.accumulation});
  }
  if (request.micro && *request.micro > 0) {
    const std::int64_t steps = std::max<std::int64_t>(1, wanted / (*request.micro * ranks));
    triples.push_back({*request.micro * steps * ranks, *request.micro, steps});
    triples.push_back({*request.micro * (steps + 1) * ranks, *request.micro, steps + 1});
  }
  std::stable_sort(triples.begin(), triples.end(), [&](const BatchTriple& a, const BatchTriple& b) {
    return distance(request, a) < distance(request, b);
  });
  std::vector<BatchTriple> nearest;
  for (const BatchTriple& triple : triples) {
    if (nearest.size() == count) break;
    if (std::find(nearest.begin(), nearest.end(), triple) == nearest.end()) nearest.push_back(triple);
  }
  return nearest;
}

}  // namespace ferula
