// Writes texts with a model whose weights may lie on several ranks, which stay in step whatever their prompts are.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/stopwatch.hpp"
#include "comm/communicator.hpp"
#include "data/tokenizer.hpp"
#include "generate/decode_model.hpp"
#include "generate/generation_request.hpp"
#include "generate/sampler.hpp"

namespace ferula {

/// The ranks that write, each its own texts, and the stream of their collectives.
struct GenerationGroup {
  Communicator& ranks;
  Stream& stream;
};

/// Hears a text as it is written, on the rank that writes it: the number of its request and the bytes that follow those
/// it has heard. They are sure: no beginning of a stop text. They may end within a UTF-8 letter.
using TextListener = std::function<void(std::size_t request, std::string_view bytes)>;

/// Rank r of n writes requests r, r + n, r + 2n, …, one after the other, so that a text never depends on what else is
/// written: it is a function of (weights, prompt, options, number of the request). In each round every rank calls the
/// model once, with a piece of a prompt, one token, or nothing once its requests are done; rounds end when no rank has
/// work left. So ranks stay in step by protocol when prompts differ in length or number, or when there are none.
class Generator {
 public:
  /// References outlive the generator. Throws ConfigError for options out of their range.
  Generator(DecodeModel& model, const Tokenizer& tokenizer, GenerationGroup group, const SamplingOptions& options);

  /// The results in the order of the requests, on every rank. Called by all ranks of the group with the same requests.
  /// DataError where a request cannot be served, before any rank begins.
  std::vector<GenerationResult> run(std::span<const GenerationRequest> requests, const TextListener& listener = {});

 private:
  /// A text in progress.
  struct Writing {
    std::size_t request = 0;
    std::vector<std::int32_t> tokens;  // prompt and text
    std::int64_t read = 0;             // of them, by the model
    GenerationResult result;
    Stopwatch watch;
    std::size_t kept_bytes = 0;  // of the text: those of the first min_new_tokens, which no stop text cuts
    std::size_t told_bytes = 0;  // of the text: those that the listener knows
  };

  void begin_next(std::span<const GenerationRequest> requests);
  void round(std::span<const GenerationRequest> requests);
  bool accept(const GenerationRequest& request, std::int32_t token);
  std::optional<FinishReason> finish_reason(const GenerationRequest& request, std::size_t piece_bytes);
  std::size_t sure_bytes(const GenerationRequest& request) const;
  void tell(std::size_t end);

  DecodeModel* model_;
  const Tokenizer* tokenizer_;
  GenerationGroup group_;
  Sampler sampler_;
  TextListener listener_;
  std::size_t next_ = 0;
  std::optional<Writing> writing_;
  std::vector<GenerationResult> mine_;  // of this rank's requests, in order
};

}  // namespace ferula
