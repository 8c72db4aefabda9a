#include "app/text_scorer.hpp"

#include <algorithm>
#include <numeric>

#include "base/narrow.hpp"

namespace ferula {

TextScorer::TextScorer(Transformer& transformer, Execution& execution, Communicator& ranks, std::int64_t window)
    : transformer_(&transformer), execution_(&execution), ranks_(&ranks), window_(window) {
  Device& device = execution.device;
  for (Buffer* rows : {&token_, &position_, &target_})
    *rows = device.allocate_shared(window * bytes_of(DType::i32), MemoryKind::buffers);
  sample_ = device.allocate_shared(window * bytes_of(DType::i64), MemoryKind::buffers);
  starts_ = device.allocate_shared(2 * bytes_of(DType::i32), MemoryKind::buffers);
  step_ = device.allocate_shared(bytes_of(DType::i64), MemoryKind::buffers);
  losses_ = ranks.allocate(ranks.size() * window * bytes_of(DType::f32), MemoryKind::buffers);
  host_losses_ = device.allocate_shared(losses_.bytes(), MemoryKind::buffers);
  const std::span<std::int32_t> positions = position_.flat(DType::i32).span<std::int32_t>();
  std::iota(positions.begin(), positions.end(), 0);
  starts_.flat(DType::i32).span<std::int32_t>()[1] = narrow<std::int32_t>(window);
}

/// Returns the number of tokens that have a target; rows behind the text's end have none.
std::int64_t TextScorer::fill(std::span<const std::int32_t> tokens, std::int64_t window) {
  const auto count = static_cast<std::int64_t>(tokens.size());
  const std::span<std::int32_t> token = token_.flat(DType::i32).span<std::int32_t>();
  const std::span<std::int32_t> target = target_.flat(DType::i32).span<std::int32_t>();
  std::int64_t targets = 0;
  for (std::int64_t row = 0; row < window_; ++row) {
    const std::int64_t at = window * window_ + row;
    const auto index = static_cast<std::size_t>(row);
    token[index] = at < count ? tokens[static_cast<std::size_t>(at)] : 0;
    target[index] = at + 1 < count ? tokens[static_cast<std::size_t>(at + 1)] : -1;
    targets += at + 1 < count ? 1 : 0;
  }
  return targets;
}

TextScore TextScorer::score(std::span<const std::int32_t> tokens,
                            const std::function<void(std::span<const float>)>& sink) {
  const std::int64_t all = std::max<std::int64_t>(static_cast<std::int64_t>(tokens.size()) - 1, 0);
  const std::int64_t rounds = ceil_div(ceil_div(all, window_), ranks_->size());
  const TensorView losses = losses_.flat(DType::f32);
  const TensorView mine = losses.range(ranks_->rank() * window_, window_);
  TextScore score{.nats = 0.0, .tokens = all};
  for (std::int64_t round = 0; round < rounds; ++round) {
    const std::int64_t targets = fill(tokens, round * ranks_->size() + ranks_->rank());
    const TokenBatch batch{.token = token_.flat(DType::i32),
                           .position = position_.flat(DType::i32),
                           .target = target_.flat(DType::i32),
                           .sample = sample_.flat(DType::i64),
                           .starts = starts_.flat(DType::i32),
                           .kv_block = {},
                           .step = step_.flat(DType::i64),
                           .rows = window_,
                           .targets = targets};
    transformer_->token_losses(batch, mine);
    execution_->communication.wait(execution_->compute.record());
    ranks_->all_gather(execution_->communication, mine, losses);
    execution_->device.copy(execution_->communication, losses.data, host_losses_.data(), losses.bytes());
    execution_->communication.synchronize();
    const std::int64_t first = round * ranks_->size() * window_;
    const auto scored = static_cast<std::size_t>(std::min(all - first, losses.count()));
    const std::span<const float> given = host_losses_.flat(DType::f32).span<float>().first(scored);
    score.nats = std::accumulate(given.begin(), given.end(), score.nats);
    if (sink) sink(given);
  }
  return score;
}

}  // namespace ferula
