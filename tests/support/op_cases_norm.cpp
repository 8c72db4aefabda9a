// Cases of the norms.
#include <algorithm>

#include "support/op_cases.hpp"

namespace ferula::test {
namespace {

struct Norm {
  std::int64_t rows, width;
  DType dtype = DType::f32;
  NormKind kind = NormKind::layer;
  Accumulate accumulate = Accumulate::overwrite;  // of dx
  std::int64_t row_gap = 0;

  NormSpec spec() const { return {.kind = kind, .eps = kind == NormKind::layer ? 1e-5f : 1e-6f}; }
  std::string name(const std::string& operation) const {
    return fmt::format("{}_{}_{}_{}x{}{}{}", operation, kind == NormKind::layer ? "layer" : "rms", name_of(dtype), rows,
                       width, accumulate == Accumulate::add ? "_add" : "", row_gap > 0 ? "_strided" : "");
  }
  std::vector<TensorSpec> tensors(const std::string& x, Role role) const {
    std::vector<TensorSpec> specs = {
        {.name = x, .role = role, .dtype = dtype, .shape = {rows, width}, .row_gap = row_gap},
        {.name = "weight", .dtype = dtype, .shape = {width}},
        {.name = "y", .role = Role::output, .dtype = dtype, .shape = {rows, width}, .row_gap = row_gap},
        {.name = "statistics", .role = Role::output, .shape = {rows, 2}}};
    if (kind == NormKind::layer) specs.push_back({.name = "bias", .dtype = dtype, .shape = {width}});
    return specs;
  }
};

OpCase residual_norm(const Norm& shape) {
  OpCase result{.name = shape.name("residual_norm"), .operation = "residual_norm"};
  result.tensors = shape.tensors("residual", Role::inout);
  if (shape.accumulate == Accumulate::add)
    result.tensors.push_back({.name = "delta", .dtype = shape.dtype, .shape = {shape.rows, shape.width}});
  // A sum of squares in order rounds `width` times, and what its terms may be moved averages out over them.
  result.rounding = std::max(result.rounding, static_cast<double>(shape.width) * 0x1p-24);
  // The sum is rounded to the type of the residual before or after its norm is taken; both are right.
  if (shape.dtype == DType::bf16) result.rounding = 0x1p-8;
  result.call = [spec = shape.spec()](Ops& ops, Stream& stream, const TensorSet& set) {
    ops.residual_norm(stream, spec, set["residual"], set.optional("delta"), set["weight"], set.optional("bias"),
                      set["y"], set["statistics"]);
  };
  return result;
}

OpCase norm_backward(const Norm& shape) {
  OpCase result{.name = shape.name("norm_backward"), .operation = "norm_backward"};
  result.tensors = shape.tensors("x", Role::input);
  for (TensorSpec& spec : result.tensors) {
    if (spec.name == "statistics") spec.role = Role::input;
    if (spec.name == "y" || spec.name == "bias") spec.role = Role::saved;
  }
  result.tensors.push_back(
      {.name = "dy", .dtype = shape.dtype, .shape = {shape.rows, shape.width}, .row_gap = shape.row_gap});
  result.tensors.push_back({.name = "dx",
                            .role = shape.accumulate == Accumulate::add ? Role::inout : Role::output,
                            .dtype = shape.dtype,
                            .shape = {shape.rows, shape.width}});
  result.tensors.push_back({.name = "dweight", .role = Role::inout, .shape = {shape.width}});
  const bool bias = shape.kind == NormKind::layer;
  if (bias) result.tensors.push_back({.name = "dbias", .role = Role::inout, .shape = {shape.width}});
  const Call forward = [spec = shape.spec()](Ops& ops, Stream& stream, const TensorSet& set) {
    ops.residual_norm(stream, spec, set["x"], {}, set["weight"], set.optional("bias"), set["y"], set["statistics"]);
  };
  result.prepare = forward;
  result.call = [spec = shape.spec(), accumulate = shape.accumulate](Ops& ops, Stream& stream, const TensorSet& set) {
    ops.norm_backward(stream, spec, set["dy"], set["x"], set["weight"], set["statistics"], set["dx"], accumulate,
                      set["dweight"], set.optional("dbias"));
  };
  result.derivative = {.forward = forward,
                       .output = "y",
                       .upstream = "dy",
                       .gradients = {{"x", "dx", shape.accumulate}, {"weight", "dweight", Accumulate::add}}};
  if (bias) result.derivative->gradients.push_back({"bias", "dbias", Accumulate::add});
  return result;
}

}  // namespace

std::vector<OpCase> norm_cases() {
  std::vector<OpCase> cases;
  for (const DType dtype : {DType::f32, DType::bf16})
    for (const NormKind kind : {NormKind::layer, NormKind::rms})
      for (const Norm& shape : {Norm{6, 37, dtype, kind},
                                {1, 64, dtype, kind, Accumulate::add},
                                {23, 48, dtype, kind, Accumulate::add, 16},
                                {3, 768, dtype, kind, Accumulate::add},
                                {2, 1600, dtype, kind},
                                {9, 360, dtype, kind, Accumulate::add},
                                {9, 480, dtype, kind},
                                {9, 1000, dtype, kind, Accumulate::add},
                                {2500, 40, dtype, kind, Accumulate::add},
                                {2, 5120, dtype, kind},
                                {0, 16, dtype, kind}}) {
        cases.push_back(residual_norm(shape));
        cases.push_back(norm_backward(shape));
      }
  return cases;
}

std::vector<OpCase> norm_large_cases() {
  return {norm_backward({560, 1600, DType::f32, NormKind::layer, Accumulate::add}),
          norm_backward({560, 1600, DType::bf16, NormKind::layer, Accumulate::add}),
          residual_norm({4500, 72, DType::f32, NormKind::rms}),
          residual_norm({4500, 520, DType::bf16, NormKind::layer})};
}

std::vector<OpCase> norm_timing_cases() {
  std::vector<OpCase> cases;
  for (const DType dtype : {DType::f32, DType::bf16})
    for (const NormKind kind : {NormKind::layer, NormKind::rms}) {
      cases.push_back(residual_norm({2048, 768, dtype, kind, Accumulate::add}));
      cases.push_back(norm_backward({2048, 768, dtype, kind, Accumulate::add}));
    }
  return cases;
}

}  // namespace ferula::test
