// Cases of element-wise functions, rotary embedding, dropout and copies.
#include "support/op_cases.hpp"

namespace ferula::test {
namespace {

struct Matrix {
  std::int64_t rows, columns;
  DType dtype = DType::f32;
  std::int64_t row_gap = 0;

  std::string name(const std::string& operation) const {
    return fmt::format("{}_{}_{}x{}{}", operation, name_of(dtype), rows, columns, row_gap > 0 ? "_strided" : "");
  }
  TensorSpec tensor(const std::string& tensor_name, Role role, std::int64_t width_factor = 1) const {
    return {.name = tensor_name,
            .role = role,
            .dtype = dtype,
            .shape = {rows, width_factor * columns},
            .deviation = 2.0,
            .row_gap = row_gap};
  }
};

const Call kGelu = [](Ops& ops, Stream& stream, const TensorSet& set) { ops.gelu(stream, set["x"], set["y"]); };
const Call kSwiglu = [](Ops& ops, Stream& stream, const TensorSet& set) { ops.swiglu(stream, set["x"], set["y"]); };

OpCase activation(const std::string& operation, const Matrix& shape, std::int64_t inputs, const Call& call) {
  return {.name = shape.name(operation),
          .operation = operation,
          .tensors = {shape.tensor("x", Role::input, inputs), shape.tensor("y", Role::output)},
          .call = call};
}

OpCase activation_backward(const std::string& operation, const Matrix& shape, std::int64_t inputs, const Call& forward,
                           const Call& call) {
  return {.name = shape.name(operation),
          .operation = operation,
          .tensors = {shape.tensor("x", Role::input, inputs), shape.tensor("y", Role::saved),
                      shape.tensor("dy", Role::input), shape.tensor("dx", Role::output, inputs)},
          .call = call,
          .derivative = Derivative{.forward = forward, .output = "y", .upstream = "dy", .gradients = {{"x", "dx"}}}};
}

const Call kGeluBackward = [](Ops& ops, Stream& stream, const TensorSet& set) {
  ops.gelu_backward(stream, set["x"], set["dy"], set["dx"]);
};
const Call kSwigluBackward = [](Ops& ops, Stream& stream, const TensorSet& set) {
  ops.swiglu_backward(stream, set["x"], set["dy"], set["dx"]);
};

/// gelu_backward with dx in the memory of dy.
OpCase gelu_backward_in_place(const Matrix& shape) {
  return {.name = shape.name("gelu_backward_in_place"),
          .operation = "gelu_backward",
          .tensors = {shape.tensor("x", Role::input), shape.tensor("dy", Role::inout)},
          .call = [](Ops& ops, Stream& stream, const TensorSet& set) {
            ops.gelu_backward(stream, set["x"], set["dy"], set["dy"]);
          }};
}

struct Rotary {
  std::int64_t rows, heads, head_dim;
  DType dtype = DType::f32;
  RotaryDirection direction = RotaryDirection::forward;
};

/// Positions reach far: 2 billion for the last row, where angles in f32 would be noise.
std::vector<double> far_positions(std::int64_t rows) {
  std::vector<double> positions;
  for (std::int64_t row = 0; row < rows; ++row) positions.push_back(static_cast<double>(row * 37 % 101));
  if (rows > 2) positions[static_cast<std::size_t>(rows - 2)] = 131071;
  if (rows > 1) positions[static_cast<std::size_t>(rows - 1)] = 2000000011;
  return positions;
}

OpCase rotary(const Rotary& shape) {
  const bool forward = shape.direction == RotaryDirection::forward;
  const auto call = [](RotaryDirection direction, const std::string& name) -> Call {
    return [=](Ops& ops, Stream& stream, const TensorSet& set) {
      ops.rotary(stream, set[name], set["position"], 10000.0f, direction);
    };
  };
  const std::vector<std::int64_t> dims = {shape.rows, shape.heads, shape.head_dim};
  OpCase result{.name = fmt::format("rotary_{}_{}_{}x{}x{}", forward ? "forward" : "backward", name_of(shape.dtype),
                                    shape.rows, shape.heads, shape.head_dim),
                .operation = "rotary",
                .call = call(shape.direction, forward ? "x" : "dx")};
  result.tensors = {
      {.name = "x",
       .role = forward ? Role::inout : Role::saved,
       .dtype = shape.dtype,
       .shape = dims,
       .row_gap = shape.heads * shape.head_dim},
      {.name = "position", .dtype = DType::i32, .shape = {shape.rows}, .values = far_positions(shape.rows)}};
  if (forward) return result;
  result.tensors.push_back({.name = "dx", .role = Role::inout, .dtype = shape.dtype, .shape = dims});
  result.derivative = Derivative{
      .forward = call(RotaryDirection::forward, "x"), .output = "x", .upstream = "dx", .gradients = {{"x", "dx"}}};
  return result;
}

OpCase dropout(const Matrix& shape, double rate) {
  std::vector<double> samples, positions;
  for (std::int64_t row = 0; row < shape.rows; ++row) {
    samples.push_back(static_cast<double>(row / 3 + 5000000000));
    positions.push_back(static_cast<double>(row % 3));
  }
  return {.name = fmt::format("{}_rate{}", shape.name("dropout"), static_cast<int>(100 * rate)),
          .operation = "dropout",
          .tensors = {shape.tensor("x", Role::inout),
                      {.name = "step", .dtype = DType::i64, .shape = {1}, .values = {41}},
                      {.name = "sample", .dtype = DType::i64, .shape = {shape.rows}, .values = samples},
                      {.name = "position", .dtype = DType::i32, .shape = {shape.rows}, .values = positions}},
          .call = [rate](Ops& ops, Stream& stream, const TensorSet& set) {
            const DropoutSpec spec{static_cast<float>(rate), 99, set["step"], set["sample"], set["position"]};
            ops.dropout(stream, spec, set["x"]);
          }};
}

OpCase add(const Matrix& shape) {
  return {.name = shape.name("add"),
          .operation = "add",
          .tensors = {shape.tensor("x", Role::inout), shape.tensor("y", Role::input)},
          .call = [](Ops& ops, Stream& stream, const TensorSet& set) { ops.add(stream, set["x"], set["y"]); }};
}

OpCase copy(const Matrix& shape, DType to) {
  TensorSpec target = shape.tensor("to", Role::output);
  target.dtype = to;
  return {.name = fmt::format("{}_to_{}", shape.name("copy"), name_of(to)),
          .operation = "copy",
          .tensors = {shape.tensor("from", Role::input), target},
          .call = [](Ops& ops, Stream& stream, const TensorSet& set) { ops.copy(stream, set["from"], set["to"]); }};
}

OpCase fill(const Matrix& shape) {
  return {.name = shape.name("fill"),
          .operation = "fill",
          .tensors = {shape.tensor("x", Role::output)},
          .call = [](Ops& ops, Stream& stream, const TensorSet& set) { ops.fill(stream, set["x"], 0.3f); }};
}

OpCase gather_rows(const Matrix& shape) {
  std::vector<double> rows;
  for (std::int64_t row = 0; row < shape.rows; ++row) rows.push_back(static_cast<double>(row * 5 % 7));
  return {.name = shape.name("gather_rows"),
          .operation = "gather_rows",
          .tensors = {{.name = "x", .dtype = shape.dtype, .shape = {7, shape.columns}, .row_gap = shape.row_gap},
                      {.name = "row", .dtype = DType::i32, .shape = {shape.rows}, .values = rows},
                      shape.tensor("y", Role::output)},
          .call = [](Ops& ops, Stream& stream, const TensorSet& set) {
            ops.gather_rows(stream, set["x"], set["row"], set["y"]);
          }};
}

std::vector<OpCase> matrix_cases(const Matrix& shape) {
  const DType other = shape.dtype == DType::f32 ? DType::bf16 : DType::f32;
  return {activation("gelu", shape, 1, kGelu),
          activation_backward("gelu_backward", shape, 1, kGelu, kGeluBackward),
          gelu_backward_in_place(shape),
          activation("swiglu", shape, 2, kSwiglu),
          activation_backward("swiglu_backward", shape, 2, kSwiglu, kSwigluBackward),
          dropout(shape, 0.25),
          add(shape),
          copy(shape, shape.dtype),
          copy(shape, other),
          fill(shape),
          gather_rows(shape)};
}

}  // namespace

std::vector<OpCase> pointwise_cases() {
  std::vector<OpCase> cases;
  for (const DType dtype : {DType::f32, DType::bf16}) {
    for (const Matrix& shape :
         {Matrix{5, 37, dtype}, {1, 16, dtype}, {9, 40, dtype, 24}, {3, 515, dtype}, {40, 520, dtype}, {0, 8, dtype}})
      for (OpCase& each : matrix_cases(shape)) cases.push_back(std::move(each));
    cases.push_back(dropout({4, 20, dtype}, 0.0));
    for (const RotaryDirection direction : {RotaryDirection::forward, RotaryDirection::backward})
      for (const Rotary& shape : {Rotary{7, 3, 64, dtype, direction},
                                  {1, 1, 80, dtype, direction},
                                  {5, 2, 6, dtype, direction},
                                  {3, 1, 256, dtype, direction},
                                  {40, 12, 64, dtype, direction},
                                  {2, 260, 80, dtype, direction}})
        cases.push_back(rotary(shape));
  }
  return cases;
}

std::vector<OpCase> pointwise_timing_cases() {
  std::vector<OpCase> cases;
  for (const DType dtype : {DType::f32, DType::bf16}) {
    for (OpCase& each : matrix_cases({2048, 3072, dtype})) cases.push_back(std::move(each));
    cases.push_back(rotary({2048, 12, 64, dtype}));
  }
  return cases;
}

}  // namespace ferula::test
