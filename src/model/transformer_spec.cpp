#include "model/transformer_spec.hpp"

#include <array>
#include <cmath>

#include "base/narrow.hpp"

namespace ferula {
namespace {

constexpr std::array kFamilies = {
    ModelFamily{"gpt2", NormKind::layer, PositionKind::learned, ActivationKind::gelu, BiasKind::present},
    ModelFamily{"llama", NormKind::rms, PositionKind::rotary, ActivationKind::swiglu, BiasKind::absent},
};

void require(bool holds, std::string_view message) {
  if (!holds) throw ConfigError(fmt::format("[model] {}", message));
}

void require_positive(std::string_view key, std::int64_t value) {
  require(value > 0, fmt::format("{}: expected at least 1, found {}; give a positive number", key, value));
}

void validate(const TransformerSpec& spec) {
  require_positive("layers", spec.layers);
  require_positive("width", spec.width);
  require_positive("heads", spec.heads);
  require_positive("kv_heads", spec.kv_heads);
  require_positive("head_dim", spec.head_dim);
  require_positive("ffn_width", spec.ffn_width);
  require_positive("context", spec.context);
  require(spec.heads % spec.kv_heads == 0,
          fmt::format("kv_heads: expected a divisor of heads = {}, found {}; choose one", spec.heads, spec.kv_heads));
  require(spec.family.positions != PositionKind::rotary || spec.head_dim % 2 == 0,
          fmt::format("head_dim: rotary positions need an even number, found {}; change width, heads or head_dim",
                      spec.head_dim));
  require(spec.tokens > 0 && spec.vocabulary >= spec.tokens,
          fmt::format("vocabulary: expected at least the tokenizer's {}, found {}; raise it or write \"auto\"",
                      spec.tokens, spec.vocabulary));
}

}  // namespace

const ModelFamily& model_family(std::string_view name) {
  std::string known;
  for (const ModelFamily& family : kFamilies) {
    if (family.name == name) return family;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", family.name);
  }
  throw ConfigError(fmt::format("[model] family: expected one of {}, found \"{}\"; choose one", known, name));
}

AttentionSpec TransformerSpec::attention() const {
  return {narrow<int>(heads), narrow<int>(kv_heads), narrow<int>(head_dim),
          static_cast<float>(1.0 / std::sqrt(static_cast<double>(head_dim)))};
}

TransformerSpec transformer_spec(const ModelConfig& config, std::int64_t tokens) {
  TransformerSpec spec;
  spec.family = model_family(config.family);
  spec.layers = config.layers;
  spec.width = config.width;
  spec.heads = config.heads;
  spec.kv_heads = config.kv_heads.get();
  spec.head_dim = config.head_dim.get();
  spec.ffn_width = config.ffn_width.get();
  spec.context = config.context;
  spec.vocabulary = config.vocabulary.get();
  spec.tokens = tokens;
  spec.tied = config.tied_embeddings.get();
  spec.norm_eps = static_cast<float>(config.norm_eps);
  spec.rope_theta = static_cast<float>(config.rope_theta);
  spec.dropout = static_cast<float>(config.dropout);
  spec.init_std = static_cast<float>(config.init_std);
  validate(spec);
  return spec;
}

}  // namespace ferula
