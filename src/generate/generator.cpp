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

std::vector<GenerationResult> Generator::run(std::span<const GenerationRequest> requests,
                                             const TextListener& listener) {
  check_requests(requests, model_->context(), sampler_.vocabulary());
  listener_ = listener;
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
  writing_.emplace(Writing{.request = next_, .tokens = request.prompt, .result = {}, .watch = {}});
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
  if (std::ssize(result.tokens) <= request.min_new_tokens) writing_->kept_bytes = result.text.size();
  const std::optional<FinishReason> reason = finish_reason(request, piece.size());
  tell(reason ? result.text.size() : sure_bytes(request));
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
    cut = std::min(cut, result.text.find(stop, std::max(result.text.size() - tail, writing_->kept_bytes)));
  }
  if (cut != std::string::npos) {
    result.text.resize(cut);
    return FinishReason::stop;
  }
  if (std::ssize(result.tokens) >= request.max_new_tokens) return FinishReason::length;
  if (writing_->read >= model_->context()) return FinishReason::context_full;
  return std::nullopt;
}

/// The text without an end that may become a stop text.
std::size_t Generator::sure_bytes(const GenerationRequest& request) const {
  const std::string_view text = writing_->result.text;
  const std::string_view open = text.substr(writing_->kept_bytes);
  std::size_t held = 0;
  for (const std::string_view stop : request.stop)
    for (std::size_t length = std::min(stop.size() - 1, open.size()); length > held; --length)
      if (open.ends_with(stop.substr(0, length))) held = length;
  return text.size() - held;
}

/// Gives the listener the text up to `end`, if it does not know that much.
void Generator::tell(std::size_t end) {
  if (!listener_ || end <= writing_->told_bytes) return;
  listener_(writing_->request,
            std::string_view(writing_->result.text).substr(writing_->told_bytes, end - writing_->told_bytes));
  writing_->told_bytes = end;
}

}  // namespace ferula
