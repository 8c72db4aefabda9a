// Chooses the next token from one row of logits.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace ferula {

enum class Choice : std::uint8_t { sample, greedy };

/// The order of the steps is Hugging Face's: repetition penalty, temperature, top-k, top-p, softmax, draw.
struct SamplingOptions {
  Choice choice = Choice::sample;
  double temperature = 1.0;         // logits are divided by it
  std::int64_t top_k = 0;           // keep the k best, and those that tie with the last of them; 0: all
  double top_p = 1.0;               // keep the fewest best ones whose probabilities reach it
  double repetition_penalty = 1.0;  // logits of tokens seen before: divided where positive, else multiplied
  std::uint64_t seed = 1234;
};

/// Throws ConfigError that names every option out of its range at once.
void validate(const SamplingOptions& options);

/// Identifies a draw: the number of the request in the run and the place of the new token in its text.
struct DrawPlace {
  std::int64_t request = 0;
  std::int64_t position = 0;
};

/// A choice is a function of (logits, history, seed, place) alone: never of a batch, a rank or earlier calls.
/// Not thread-safe: it keeps its scratch memory.
class Sampler {
 public:
  /// `vocabulary`: ids that may be chosen; logits beyond it are padding.
  Sampler(const SamplingOptions& options, std::int64_t vocabulary);

  std::int64_t vocabulary() const { return vocabulary_; }
  /// The token that follows. logits [≥ vocabulary] f32; `history`: the tokens of prompt and text so far.
  /// Greedy takes the highest logit after the penalty, of equals the lowest id. DataError where a logit is NaN or +∞,
  /// or all are −∞.
  std::int32_t choose(std::span<const float> logits, std::span<const std::int32_t> history, DrawPlace place);

  /// The probabilities that `choose` draws from, in the order of ids; zero for what was cut. For tests and displays.
  std::vector<double> probabilities(std::span<const float> logits, std::span<const std::int32_t> history);

 private:
  struct Candidate {
    std::int32_t token;
    double score;  // a logit, then a probability
  };

  /// Leaves in `candidates_` what can be chosen, with probabilities.
  void prepare(std::span<const float> logits, std::span<const std::int32_t> history);
  void score(std::span<const float> logits, std::span<const std::int32_t> history);
  void keep_top_k();
  void softmax();
  void keep_top_p();
  std::int32_t best() const;

  SamplingOptions options_;
  std::int64_t vocabulary_;
  std::uint64_t key_;
  std::vector<Candidate> candidates_;  // ascending ids between the steps
  std::vector<Candidate> sorted_;
  std::vector<char> seen_;
};

}  // namespace ferula
