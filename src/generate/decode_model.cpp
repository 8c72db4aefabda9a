#include "generate/decode_model.hpp"

#include <algorithm>
#include <numeric>

#include "base/narrow.hpp"

namespace ferula {

namespace {

Buffer integers(Device& device, std::int64_t count) {
  return device.allocate_shared(count * bytes_of(DType::i32), MemoryKind::buffers);
}

}  // namespace

std::int64_t decoder_bytes(const TransformerSpec& spec, const TransformerSettings& settings) {
  return kv_cache_bytes(spec, settings.compute, 1, spec.context) + bytes_of(DType::i32, 3 * settings.rows + 1) +
         bytes_of(DType::f32, spec.vocabulary);
}

TransformerDecoder::TransformerDecoder(Transformer& transformer, Execution& execution)
    : transformer_(&transformer),
      execution_(&execution),
      cache_(execution.device, transformer.spec(), transformer.settings().compute, 1, transformer.spec().context),
      token_(integers(execution.device, rows())),
      position_(integers(execution.device, rows())),
      kv_block_(integers(execution.device, rows())),
      wanted_(integers(execution.device, 1)),
      logits_(execution.device.allocate_shared(transformer.spec().vocabulary * bytes_of(DType::f32),
                                               MemoryKind::buffers)) {}

std::span<const float> TransformerDecoder::read(std::span<const std::int32_t> tokens, std::int64_t first) {
  const auto count = static_cast<std::int64_t>(tokens.size());
  FERULA_CHECK(count <= rows() && first + count <= context(), "{} tokens from {} on, of {} and {}", count, first,
               rows(), context());
  const auto rows_of = [count](const Buffer& buffer) { return buffer.flat(DType::i32).rows(0, count); };
  const TokenBatch batch{.token = rows_of(token_),
                         .position = rows_of(position_),
                         .target = {},
                         .sample = {},
                         .starts = {},
                         .kv_block = rows_of(kv_block_),
                         .step = {},
                         .rows = count};
  std::ranges::copy(tokens, batch.token.span<std::int32_t>().begin());
  const auto positions = batch.position.span<std::int32_t>();
  std::iota(positions.begin(), positions.end(), narrow<std::int32_t>(first));

  const std::int64_t predictions = count == 0 ? 0 : 1;
  const TensorView wanted = wanted_.flat(DType::i32).rows(0, predictions);
  std::ranges::fill(wanted.span<std::int32_t>(), narrow<std::int32_t>(count - 1));
  const TensorView logits = logits_.view(DType::f32, {1, transformer_->spec().vocabulary}).rows(0, predictions);
  transformer_->decode(batch, cache_, wanted, logits);
  execution_->compute.synchronize();
  return logits.span<float>();
}

}  // namespace ferula
