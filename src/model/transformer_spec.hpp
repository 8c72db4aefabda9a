// What a transformer looks like, as data: the families differ in the rows of one table.
#pragma once

#include <string>
#include <string_view>

#include "config/run_config.hpp"
#include "ops/ops.hpp"

namespace ferula {

/// `learned`: a table added to the embedding; `rotary`: queries and keys are rotated.
enum class PositionKind : std::uint8_t { learned, rotary };
/// `gelu`: down(gelu(up(x))); `swiglu`: down(silu(gate(x)) · up(x)).
enum class ActivationKind : std::uint8_t { gelu, swiglu };
enum class BiasKind : std::uint8_t { absent, present };

/// What sets one family of models apart from another.
struct ModelFamily {
  std::string_view name;
  NormKind norm = NormKind::layer;
  PositionKind positions = PositionKind::learned;
  ActivationKind activation = ActivationKind::gelu;
  BiasKind biases = BiasKind::present;  // of linear layers and norms
};

/// The family of that name; throws ConfigError with the known names for another word.
const ModelFamily& model_family(std::string_view name);

/// A pre-norm decoder: x += attention(norm(x)), x += feed_forward(norm(x)), and a last norm before the head.
struct TransformerSpec {
  ModelFamily family;
  std::int64_t layers = 0;
  std::int64_t width = 0;
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t ffn_width = 0;
  std::int64_t context = 0;     // most positions of a sequence
  std::int64_t vocabulary = 0;  // rows of the embedding
  std::int64_t tokens = 0;      // rows of it that are tokens; the others are padding and never predicted
  bool tied = true;             // the head is the token embedding
  float norm_eps = 1e-5f;
  float rope_theta = 10000.0f;
  float dropout = 0.0f;
  float init_std = 0.02f;

  NormSpec norm() const { return {family.norm, norm_eps}; }
  AttentionSpec attention() const;
  std::int64_t query_width() const { return heads * head_dim; }
  std::int64_t kv_width() const { return kv_heads * head_dim; }
  /// Columns of the product that gives query, key and value at once.
  std::int64_t qkv_width() const { return query_width() + 2 * kv_width(); }
  /// Columns before the activation: gate and up, or up alone.
  std::int64_t hidden_width() const { return family.activation == ActivationKind::swiglu ? 2 * ffn_width : ffn_width; }
};

/// The model that a resolved configuration (no "auto" left) describes. `tokens` is the tokenizer's vocabulary; the
/// configured one may be larger. Throws ConfigError where the numbers do not fit each other.
TransformerSpec transformer_spec(const ModelConfig& config, std::int64_t tokens);

}  // namespace ferula
