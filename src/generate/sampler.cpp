#include "generate/sampler.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "base/error.hpp"
#include "base/narrow.hpp"
#include "base/philox.hpp"

namespace ferula {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr const char* kDamaged = "the weights are damaged or training has diverged: use an earlier checkpoint";

/// Uniform in [0, 1) with 53 bits.
double uniform_double(const PhiloxBlock& bits) {
  const std::uint64_t wide = (static_cast<std::uint64_t>(bits[0]) << 21) ^ (bits[1] >> 11);
  return static_cast<double>(wide) * 0x1p-53;
}

}  // namespace

void validate(const SamplingOptions& options) {
  std::vector<std::string> problems;
  if (!(options.temperature > 0.0) || !std::isfinite(options.temperature)) {
    problems.push_back(fmt::format("temperature must be above 0, got {} (use greedy for 0)", options.temperature));
  }
  if (options.top_k < 0) problems.push_back(fmt::format("top_k must be 0 (all tokens) or more, got {}", options.top_k));
  if (!(options.top_p > 0.0 && options.top_p <= 1.0)) {
    problems.push_back(fmt::format("top_p must be above 0 and at most 1, got {}", options.top_p));
  }
  if (!(options.repetition_penalty > 0.0) || !std::isfinite(options.repetition_penalty)) {
    problems.push_back(fmt::format("repetition_penalty must be above 0, got {}", options.repetition_penalty));
  }
  if (!problems.empty())
    throw ConfigError(fmt::format("the sampling options are wrong: {}", fmt::join(problems, "; ")));
}

Sampler::Sampler(const SamplingOptions& options, std::int64_t vocabulary)
    : options_(options), vocabulary_(vocabulary), key_(random_key(options.seed, "sampling")) {
  validate(options);
  FERULA_CHECK(vocabulary > 0, "a vocabulary has tokens, got {}", vocabulary);
  candidates_.reserve(static_cast<std::size_t>(vocabulary));
  sorted_.reserve(static_cast<std::size_t>(vocabulary));
  seen_.assign(static_cast<std::size_t>(vocabulary), 0);
}

void Sampler::score(std::span<const float> logits, std::span<const std::int32_t> history) {
  FERULA_CHECK(static_cast<std::int64_t>(logits.size()) >= vocabulary_, "{} logits for {} tokens", logits.size(),
               vocabulary_);
  candidates_.clear();
  for (std::int64_t token = 0; token < vocabulary_; ++token) {
    const double logit = logits[static_cast<std::size_t>(token)];
    if (std::isnan(logit) || logit == kInfinity) {
      throw DataError(fmt::format("expected finite logits, found {} for token {}; {}", logit, token, kDamaged));
    }
    if (logit != -kInfinity) candidates_.push_back({narrow<std::int32_t>(token), logit});
  }
  if (candidates_.empty()) throw DataError(fmt::format("expected finite logits, found none; {}", kDamaged));
  if (options_.repetition_penalty == 1.0) return;
  std::fill(seen_.begin(), seen_.end(), 0);
  for (const std::int32_t token : history) {
    if (token >= 0 && token < vocabulary_) seen_[static_cast<std::size_t>(token)] = 1;
  }
  for (auto& candidate : candidates_) {
    if (seen_[static_cast<std::size_t>(candidate.token)] == 0) continue;
    const double penalty = options_.repetition_penalty;
    candidate.score = candidate.score > 0.0 ? candidate.score / penalty : candidate.score * penalty;
  }
}

std::int32_t Sampler::best() const {
  const auto lower = [](const Candidate& a, const Candidate& b) { return a.score < b.score; };
  return std::max_element(candidates_.begin(), candidates_.end(), lower)->token;  // the first of equals
}

void Sampler::keep_top_k() {
  const auto count = static_cast<std::size_t>(options_.top_k);
  if (count == 0 || count >= candidates_.size()) return;
  sorted_ = candidates_;
  const auto last = sorted_.begin() + static_cast<std::ptrdiff_t>(count - 1);
  std::nth_element(sorted_.begin(), last, sorted_.end(),
                   [](const Candidate& a, const Candidate& b) { return a.score > b.score; });
  const double least = last->score;
  std::erase_if(candidates_, [least](const Candidate& candidate) { return candidate.score < least; });
}

void Sampler::softmax() {
  double highest = candidates_.front().score;
  for (const auto& candidate : candidates_) highest = std::max(highest, candidate.score);
  double total = 0.0;
  for (auto& candidate : candidates_) {
    candidate.score = std::exp((candidate.score - highest) / options_.temperature);
    total += candidate.score;
  }
  for (auto& candidate : candidates_) candidate.score /= total;
}

void Sampler::keep_top_p() {
  if (options_.top_p >= 1.0) return;
  // Tokens below this share cannot be in the set: all of them together would not reach 1 − top_p.
  const double unreachable = (1.0 - options_.top_p) / static_cast<double>(candidates_.size());
  sorted_.clear();
  for (const auto& candidate : candidates_) {
    if (candidate.score >= unreachable) sorted_.push_back(candidate);
  }
  std::sort(sorted_.begin(), sorted_.end(), [](const Candidate& a, const Candidate& b) {
    return a.score != b.score ? a.score > b.score : a.token < b.token;
  });
  double reached = 0.0;
  std::size_t kept = 0;
  while (kept < sorted_.size() && reached < options_.top_p) reached += sorted_[kept++].score;
  candidates_.assign(sorted_.begin(), sorted_.begin() + static_cast<std::ptrdiff_t>(std::max<std::size_t>(kept, 1)));
  std::sort(candidates_.begin(), candidates_.end(),
            [](const Candidate& a, const Candidate& b) { return a.token < b.token; });
  for (auto& candidate : candidates_) candidate.score /= reached;
}

void Sampler::prepare(std::span<const float> logits, std::span<const std::int32_t> history) {
  score(logits, history);
  if (options_.choice == Choice::greedy) {
    candidates_.assign(1, {best(), 1.0});
    return;
  }
  keep_top_k();
  softmax();
  keep_top_p();
}

std::int32_t Sampler::choose(std::span<const float> logits, std::span<const std::int32_t> history, DrawPlace place) {
  prepare(logits, history);
  const auto request = static_cast<std::uint64_t>(place.request);
  const auto position = static_cast<std::uint64_t>(place.position);
  double left = uniform_double(philox(key_, request, position));
  for (const auto& candidate : candidates_) {
    left -= candidate.score;
    if (left < 0.0) return candidate.token;
  }
  return best();  // the rounded sum of the probabilities fell short of the draw
}

std::vector<double> Sampler::probabilities(std::span<const float> logits, std::span<const std::int32_t> history) {
  prepare(logits, history);
  std::vector<double> result(static_cast<std::size_t>(vocabulary_), 0.0);
  for (const auto& candidate : candidates_) result[static_cast<std::size_t>(candidate.token)] = candidate.score;
  return result;
}

}  // namespace ferula
