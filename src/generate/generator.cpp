#include "generate/generator.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "generate/gather_results.hpp"

namespace ferula {

Generator::Generator(DecodeModel& model, const Tokenizer& tokenizer, GenerationGroup group,
                     const SamplingOptions& options)
    : model_(&model),
      tokenizer_(&tokenizer),
      group_(group),
      sampler_(options, std::min(model.vocabulary(), tokenizer.vocabulary())) {}

std::vector<GenerationResult> Generator::run(std::span<const GenerationRequest> requests) {
  check_requests(requests, model_->context(), sampler_.vocabulary());
  mine_.clear();
  next_ = static_cast<std::size_t>(group_.ranks.rank());
  begin_next(requests);
  while (agree_max(group_.ranks, group_.stream, writing_ ? 1.0 : 0.0) > 0.0) round(requests);
  return gather_results(group_.ranks, group_.stream, requests.size(), mine_);
}

void Generator::begin_next(std::span<const GenerationRequest> requests) {
  writing_.reset();
  if (next_ >= requests.size()) return;
  const GenerationRequest& request = requests[next_];
  writing_.emplace(Writing{.request = next_, .tokens = request.prompt, .read = 0, .result = {}, .watch = {}});
  const std::int64_t room = model_->context() - std::ssize(request.prompt) + 1;
  writing_->tokens.reserve(request.prompt.size() + static_cast<std::size_t>(std::min(room, request.max_new_tokens)));
  next_ += static_cast<std::size_t>(group_.ranks.size());
}

void Generator::round(std::span<const GenerationRequest> requests) {
  if (!writing_) {
    model_->read({}, 0);
    return;
  }
  const std::int64_t unread = std::ssize(writing_->tokens) - writing_->read;
  const std::int64_t count = std::min(unread, model_->rows());
  const auto piece =
      std::span(writing_->tokens).subspan(static_cast<std::size_t>(writing_->read), static_cast<std::size_t>(count));
  const std::span<const float> logits = model_->read(piece, writing_->read);
  writing_->read += count;
  if (count < unread) return;
  const DrawPlace place{.request = static_cast<std::int64_t>(writing_->request), .position = writing_->read};
  const std::int32_t token = sampler_.choose(logits, writing_->tokens, place);
  if (accept(requests[writing_->request], token)) begin_next(requests);
}

/// Adds the token to the text; true when that was the last one.
bool Generator::accept(const GenerationRequest& request, std::int32_t token) {
  GenerationResult& result = writing_->result;
  if (result.tokens.empty()) result.first_token_s = writing_->watch.seconds();
  result.tokens.push_back(token);
  writing_->tokens.push_back(token);
  const std::string piece = tokenizer_->decode(std::span(&token, 1));
  result.text += piece;
  const std::optional<FinishReason> reason = finish_reason(request, piece.size());
  if (!reason) return false;
  result.finish = *reason;
  result.total_s = writing_->watch.seconds();
  mine_.push_back(std::move(result));
  return true;
}

/// Cuts the text where a stop text begins; only its last `piece_bytes` are new.
std::optional<FinishReason> Generator::finish_reason(const GenerationRequest& request, std::size_t piece_bytes) {
  GenerationResult& result = writing_->result;
  std::size_t cut = std::string::npos;
  for (const std::string& stop : request.stop) {
    const std::size_t tail = std::min(result.text.size(), piece_bytes + stop.size() - 1);
    cut = std::min(cut, result.text.find(stop, result.text.size() - tail));
  }
  if (cut != std::string::npos) {
    result.text.resize(cut);
    return FinishReason::stop;
  }
  if (std::ssize(result.tokens) >= request.max_new_tokens) return FinishReason::length;
  if (writing_->read >= model_->context()) return FinishReason::context_full;
  return std::nullopt;
}

}  // namespace ferula
