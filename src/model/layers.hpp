// The layers inside a unit: where their tensors lie in it, and their forward and backward calls.
#pragma once

#include <string_view>
#include <vector>

#include "model/transformer_spec.hpp"
#include "ops/execution.hpp"
#include "params/parameter_store.hpp"

namespace ferula {

inline constexpr std::size_t kAbsent = static_cast<std::size_t>(-1);

/// One unit at work: its values, and in the backward pass where its gradient is added.
struct UnitPass {
  Execution& execution;
  const UnitLease& values;
  const UnitLease* gradients = nullptr;

  /// Value of tensor `param`; empty where the model has none.
  TensorView value(std::size_t param) const;
  /// f32 gradient of tensors first … first + n − 1, which are joined; empty where absent or frozen.
  TensorView gradient(std::size_t first, std::size_t n = 1) const;
};

/// Tensors of a norm, as indices in their unit.
struct NormLayer {
  NormSpec spec;
  std::size_t weight = kAbsent;
  std::size_t bias = kAbsent;

  /// residual += stream (unless empty), y = norm(residual).
  void forward(const UnitPass& unit, TensorView residual, TensorView stream, TensorView y, TensorView statistics) const;
  /// dx (+)= the gradient at x.
  void backward(const UnitPass& unit, TensorView dy, TensorView x, TensorView statistics, TensorView dx,
                Accumulate accumulate) const;
};

/// Weights that one product reads as one matrix.
struct LinearRun {
  std::size_t weight = kAbsent;  // the first of `parts`
  std::size_t bias = kAbsent;    // the first of `parts`
  std::size_t parts = 1;
  std::int64_t first_output = 0;
  std::int64_t outputs = 0;
};

/// Layers with one input whose outputs lie side by side, such as query, key and value: one run when all are joined.
struct LinearLayer {
  std::vector<LinearRun> runs;

  /// y = x · Wᵀ + bias. x [rows, in] T, y [rows, all outputs] T.
  void forward(const UnitPass& unit, TensorView x, TensorView y) const;
  /// hidden = x · Wᵀ + bias, y = gelu(hidden). hidden, y [rows, all outputs] T.
  void forward_gelu(const UnitPass& unit, TensorView x, TensorView hidden, TensorView y) const;
  /// dx = dy · W, and the weight's and bias's gradients are added.
  void backward(const UnitPass& unit, TensorView x, TensorView dy, TensorView dx) const;
  /// backward() of a layer of one run whose input x is gelu(hidden): dhidden takes the place of dx.
  void backward_gelu(const UnitPass& unit, TensorView x, TensorView dy, TensorView hidden, TensorView dhidden) const;

 private:
  void add_gradients(const UnitPass& unit, const LinearRun& run, TensorView x, TensorView dy) const;
};

/// Index of the tensor of that name, or kAbsent.
std::size_t find_param(const UnitSpec& unit, std::string_view name);
/// The norm whose tensors are `name`.weight and, where the family has it, `name`.bias.
NormLayer find_norm(const UnitSpec& unit, const NormSpec& spec, std::string_view name);
/// The layers `name`.weight of `names`, which follow each other in the unit.
LinearLayer find_linear(const UnitSpec& unit, const std::vector<std::string>& names);

}  // namespace ferula
