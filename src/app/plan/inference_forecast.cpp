#include "app/plan/inference_forecast.hpp"

#include <algorithm>

#include "app/model_setup.hpp"
#include "checkpoint/checkpoint_reader.hpp"
#include "generate/decode_model.hpp"
#include "model/operation_scratch.hpp"

namespace ferula {
namespace {

/// Of the form that the backend multiplies fastest; 0 where it has none.
std::int64_t prepared_bytes(Device& device, Ops& ops, std::int64_t out, std::int64_t in, DType dtype) {
  const std::int64_t before = device.ledger().current_bytes();
  const std::unique_ptr<PreparedWeight> prepared = ops.make_prepared(out, in, dtype);
  return device.ledger().current_bytes() - before;
}

/// Of all weights whose unit stays whole on this rank: the others pass by, and are not packed for one use.
std::int64_t prepared_bytes(const TransformerSpec& spec, DType compute, const RangesByUnit& ranges, Device& device,
                            Ops& ops) {
  const auto of = [&](std::int64_t out, std::int64_t in) { return prepared_bytes(device, ops, out, in, compute); };
  const auto stays = [&](std::size_t unit) { return keeps_whole_values(ranges.at(unit)); };
  const std::int64_t block = of(spec.qkv_width(), spec.width) + of(spec.width, spec.query_width()) +
                             of(spec.hidden_width(), spec.width) + of(spec.width, spec.ffn_width);
  std::int64_t bytes = stays(head_unit(spec)) ? of(spec.vocabulary, spec.width) : 0;
  for (std::int64_t layer = 0; layer < spec.layers; ++layer)
    if (stays(block_unit(layer))) bytes += block;
  return bytes;
}

}  // namespace

std::int64_t generation_rows(const Config& config) { return std::min(kPromptRows, config.model.context); }

TransformerSettings inference_settings(const Config& config, std::int64_t rows) {
  return {.compute = compute_dtype(config), .rows = rows, .slots = 0, .seed = 0};
}

InferenceMemory forecast_inference(const Config& config, const TransformerSpec& spec, Mesh& mesh, Device& device,
                                   Ops& ops) {
  const StoreSettings settings = store_settings(config, StoreUse::inference);
  const TransformerSettings transformer = inference_settings(config, generation_rows(config));
  const RangesByUnit ranges = lay_out_ranges(model_table(config, spec), settings, mesh);
  const StoreBytes store = store_bytes(ranges, settings);
  const std::int64_t fixed = mesh.transit_bytes() + store.buffers;
  const bool is_on_host = config.run.device == "cpu";  // a GPU multiplies the values as they lie; see kGpuOverhead
  const std::int64_t writing =
      decoder_bytes(spec, transformer) + (is_on_host ? prepared_bytes(spec, transformer.compute, ranges, device, ops) +
                                                           inference_scratch(ops, spec, transformer).sum()
                                                     : 0);

  InferenceMemory memory;
  const auto kind = [](MemoryByKind& bytes, MemoryKind which) -> std::int64_t& {
    return bytes.at(static_cast<std::size_t>(which));
  };
  kind(memory.loaded, MemoryKind::parameters) = store.parameters;
  kind(memory.loaded, MemoryKind::buffers) = fixed + checkpoint_reading_bytes();
  memory.generating = memory.loaded;
  kind(memory.generating, MemoryKind::activations) = transformer_bytes(spec, transformer, whole_model(spec));
  kind(memory.generating, MemoryKind::buffers) = fixed + std::max(checkpoint_reading_bytes(), writing);
  return memory;
}

}  // namespace ferula
