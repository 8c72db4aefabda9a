// The parameter table: what a model is made of, before any memory exists. Parallelism, freezing, LoRA and quantisation
// are edits of this table.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/dtype.hpp"

namespace ferula {

using Shape = std::vector<std::int64_t>;

/// How tensor parallelism would cut a tensor: by rows (outputs), by columns (inputs), or not at all.
enum class TensorCut : std::uint8_t { none, rows, columns };

/// Whether a tensor lies directly behind the one before it, so that one product can read both as one matrix.
enum class Placing : std::uint8_t { separate, joined_to_previous };

enum class InitKind : std::uint8_t { zeros, ones, normal };

/// One tensor. Names are the field's: "blocks.3.attention.query.weight".
struct ParamSpec {
  std::string name;
  Shape shape;  // [out, in] of a linear layer, [rows, width] of an embedding, [width] of a norm or bias
  TensorCut cut = TensorCut::none;
  DType storage = DType::f32;
  bool trainable = true;
  bool decay = true;  // weight decay applies
  InitKind init = InitKind::normal;
  float init_std = 0.02f;
  Placing placing = Placing::separate;

  std::int64_t count() const;
};

/// What is gathered and reduced together: an embedding, a layer, the head.
struct UnitSpec {
  std::string name;
  std::vector<ParamSpec> params;

  std::int64_t count() const;
  /// Whether any of its tensors is trained.
  bool trains() const;
};

using ModelSpec = std::vector<UnitSpec>;

std::int64_t parameter_count(const ModelSpec& model);

}  // namespace ferula
