// Where the tensors of a model lie in the weights that Hugging Face's transformers has saved: names, and how they are
// turned.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/safetensors.hpp"
#include "config/run_config.hpp"

namespace ferula {

/// `transposed`: theirs is [inputs, outputs], as GPT-2's Conv1D has it, ours [outputs, inputs].
enum class ElementOrder : std::uint8_t { same, transposed };

/// The tensor of theirs that holds one of ours: its outputs from `first_output` on.
struct TensorSource {
  std::string name;
  Shape shape;  // that it must have
  ElementOrder order = ElementOrder::same;
  std::int64_t first_output = 0;
};

/// The source of a tensor of our table. `model` is resolved. A name without the prefix of the whole model
/// ("transformer.", "model."), which some files leave out.
TensorSource source_of(const ModelConfig& model, const ParamSpec& param);

/// A tensor of ours and the tensor that fills it.
struct TensorFilling {
  ParamSpec param;
  TensorSource source;
  SafetensorsFolder::Tensor stored;
};

/// Matches our table with a folder. DataError that names every tensor that is missing, has another shape or elements
/// that cannot be read, or is there and has no place in this model. Masks and other constants that old versions of
/// transformers saved are passed over, and so is a head that is tied.
std::vector<TensorFilling> fill_table(const ModelConfig& model, const std::vector<ParamSpec>& table,
                                      const SafetensorsFolder& folder);

}  // namespace ferula
