// Cases of matrix products and embeddings.
#include "support/op_cases.hpp"

namespace ferula::test {
namespace {

/// The shape and the types of one linear layer.
struct Linear {
  std::int64_t rows, in, out;
  DType dtype = DType::f32;
  DType result = DType::f32;
  bool bias = true;
  Accumulate accumulate = Accumulate::overwrite;
  std::int64_t row_gap = 0;

  std::string name(const std::string& operation) const {
    return fmt::format("{}_{}_{}x{}x{}{}{}{}{}", operation, name_of(dtype), rows, in, out,
                       result == dtype ? "" : "_to_f32", bias ? "" : "_plain",
                       accumulate == Accumulate::add ? "_add" : "", row_gap > 0 ? "_strided" : "");
  }
  double flops() const { return 2.0 * static_cast<double>(rows) * static_cast<double>(in) * static_cast<double>(out); }
};

Linear adding(Linear shape) {
  shape.accumulate = Accumulate::add;
  return shape;
}

const Call kForward = [](Ops& ops, Stream& stream, const TensorSet& set) {
  ops.linear(stream, set["x"], {.values = set["w"], .scales = {}}, set.optional("bias"), set["y"],
             Accumulate::overwrite);
};

OpCase linear(const Linear& shape) {
  OpCase result{.name = shape.name("linear"), .operation = "linear", .flops = shape.flops()};
  result.tensors = {{.name = "x", .dtype = shape.dtype, .shape = {shape.rows, shape.in}, .row_gap = shape.row_gap},
                    {.name = "w", .dtype = shape.dtype, .shape = {shape.out, shape.in}},
                    {.name = "y",
                     .role = shape.accumulate == Accumulate::add ? Role::inout : Role::output,
                     .dtype = shape.result,
                     .shape = {shape.rows, shape.out},
                     .row_gap = shape.row_gap}};
  if (shape.bias) result.tensors.push_back({.name = "bias", .dtype = shape.dtype, .shape = {shape.out}});
  result.call = [accumulate = shape.accumulate](Ops& ops, Stream& stream, const TensorSet& set) {
    ops.linear(stream, set["x"], {.values = set["w"], .scales = {}}, set.optional("bias"), set["y"], accumulate);
  };
  return result;
}

/// Two calls with one packed weight: the first fills it, the second uses it.
OpCase prepared(const Linear& shape) {
  OpCase result = linear(shape);
  result.name = shape.name("make_prepared");
  result.operation = "make_prepared";
  result.call = [shape](Ops& ops, Stream& stream, const TensorSet& set) {
    const auto packed = ops.make_prepared(shape.out, shape.in, set["w"].dtype);
    const WeightView weight{.values = set["w"], .scales = {}, .prepared = packed.get(), .version = 1};
    ops.linear(stream, set["x"], weight, set.optional("bias"), set["y"], Accumulate::overwrite);
    ops.fill(stream, set["y"], -1.0f);
    ops.linear(stream, set["x"], weight, set.optional("bias"), set["y"], Accumulate::overwrite);
    stream.synchronize();
  };
  return result;
}

OpCase backward_input(const Linear& shape) {
  OpCase result{
      .name = shape.name("linear_backward_input"), .operation = "linear_backward_input", .flops = shape.flops()};
  result.tensors = {{.name = "x", .role = Role::saved, .dtype = shape.dtype, .shape = {shape.rows, shape.in}},
                    {.name = "w", .dtype = shape.dtype, .shape = {shape.out, shape.in}},
                    {.name = "y", .role = Role::saved, .dtype = shape.dtype, .shape = {shape.rows, shape.out}},
                    {.name = "dy", .dtype = shape.dtype, .shape = {shape.rows, shape.out}, .row_gap = shape.row_gap},
                    {.name = "dx",
                     .role = shape.accumulate == Accumulate::add ? Role::inout : Role::output,
                     .dtype = shape.dtype,
                     .shape = {shape.rows, shape.in},
                     .row_gap = shape.row_gap}};
  result.call = [accumulate = shape.accumulate](Ops& ops, Stream& stream, const TensorSet& set) {
    ops.linear_backward_input(stream, set["dy"], {.values = set["w"], .scales = {}}, set["dx"], accumulate);
  };
  result.derivative = {
      .forward = kForward, .output = "y", .upstream = "dy", .gradients = {{"x", "dx", shape.accumulate}}};
  return result;
}

const Call kForwardGelu = [](Ops& ops, Stream& stream, const TensorSet& set) {
  ops.linear_gelu(stream, set["x"], {.values = set["w"], .scales = {}}, set.optional("bias"), set["hidden"], set["y"]);
};

/// A backend may round what lies between product and gelu to T.
double rounding_between(DType dtype) { return dtype == DType::bf16 ? 0x1p-9 + 0x1p-19 : 0x1p-19; }

OpCase linear_gelu(const Linear& shape) {
  OpCase result = linear(shape);
  result.rounding = rounding_between(shape.dtype);
  result.name = shape.name("linear_gelu");
  result.operation = "linear_gelu";
  result.tensors.push_back({.name = "hidden",
                            .role = Role::output,
                            .dtype = shape.dtype,
                            .shape = {shape.rows, shape.out},
                            .row_gap = shape.row_gap});
  result.call = kForwardGelu;
  return result;
}

/// gelu and then a linear layer: y = gelu(hidden) · Wᵀ.
const Call kGeluForward = [](Ops& ops, Stream& stream, const TensorSet& set) {
  ops.gelu(stream, set["hidden"], set["x"]);
  ops.linear(stream, set["x"], {.values = set["w"], .scales = {}}, {}, set["y"], Accumulate::overwrite);
};

OpCase linear_gelu_backward(const Linear& shape) {
  OpCase result{.name = shape.name("linear_gelu_backward"),
                .operation = "linear_gelu_backward",
                .flops = shape.flops(),
                .rounding = rounding_between(shape.dtype)};
  const std::vector<std::int64_t> input = {shape.rows, shape.in};
  result.tensors = {
      {.name = "hidden", .dtype = shape.dtype, .shape = input, .deviation = 2.0, .row_gap = shape.row_gap},
      {.name = "x", .role = Role::saved, .dtype = shape.dtype, .shape = input},
      {.name = "w", .dtype = shape.dtype, .shape = {shape.out, shape.in}},
      {.name = "y", .role = Role::saved, .dtype = shape.dtype, .shape = {shape.rows, shape.out}},
      {.name = "dy", .dtype = shape.dtype, .shape = {shape.rows, shape.out}, .row_gap = shape.row_gap},
      {.name = "dhidden", .role = Role::output, .dtype = shape.dtype, .shape = input, .row_gap = shape.row_gap}};
  result.call = [](Ops& ops, Stream& stream, const TensorSet& set) {
    ops.linear_gelu_backward(stream, set["dy"], {.values = set["w"], .scales = {}}, set["hidden"], set["dhidden"]);
  };
  result.derivative = {.forward = kGeluForward, .output = "y", .upstream = "dy", .gradients = {{"hidden", "dhidden"}}};
  return result;
}

OpCase backward_weight(const Linear& shape) {
  const bool is_added_to = shape.accumulate == Accumulate::add;
  OpCase result{
      .name = shape.name("linear_backward_weight"), .operation = "linear_backward_weight", .flops = shape.flops()};
  result.tensors = {{.name = "x", .dtype = shape.dtype, .shape = {shape.rows, shape.in}, .row_gap = shape.row_gap},
                    {.name = "w", .role = Role::saved, .dtype = shape.dtype, .shape = {shape.out, shape.in}},
                    {.name = "bias", .role = Role::saved, .dtype = shape.dtype, .shape = {shape.out}},
                    {.name = "y", .role = Role::saved, .dtype = shape.dtype, .shape = {shape.rows, shape.out}},
                    {.name = "dy", .dtype = shape.dtype, .shape = {shape.rows, shape.out}, .row_gap = shape.row_gap},
                    {.name = "dw", .role = is_added_to ? Role::inout : Role::output, .shape = {shape.out, shape.in}}};
  if (shape.bias) result.tensors.push_back({.name = "dbias", .role = Role::inout, .shape = {shape.out}});
  result.call = [accumulate = shape.accumulate](Ops& ops, Stream& stream, const TensorSet& set) {
    ops.linear_backward_weight(stream, set["x"], set["dy"], set["dw"], accumulate, set.optional("dbias"));
  };
  result.derivative = {
      .forward = kForward, .output = "y", .upstream = "dy", .gradients = {{"w", "dw", shape.accumulate}}};
  if (shape.bias) result.derivative->gradients.push_back({"bias", "dbias", Accumulate::add});
  return result;
}

/// Sizes of an embedding; tokens repeat, and the last of the vocabulary occurs.
struct Embedding {
  std::int64_t rows, vocabulary, context, width;
  DType dtype = DType::f32;

  std::string name(const std::string& operation) const {
    return fmt::format("{}_{}_{}x{}{}", operation, name_of(dtype), rows, width, context > 0 ? "" : "_no_positions");
  }
  std::vector<TensorSpec> indices() const {
    std::vector<double> tokens, positions;
    for (std::int64_t row = 0; row < rows; ++row) {
      tokens.push_back(static_cast<double>(row % 3 == 0 ? vocabulary - 1 : row * row % vocabulary));
      positions.push_back(static_cast<double>(row % std::max<std::int64_t>(1, context)));
    }
    return {{.name = "token", .dtype = DType::i32, .shape = {rows}, .values = tokens},
            {.name = "position", .dtype = DType::i32, .shape = {rows}, .values = positions}};
  }
};

const Call kEmbed = [](Ops& ops, Stream& stream, const TensorSet& set) {
  ops.embed(stream, set["token"], set["position"], set["table"], set.optional("positions"), set["y"]);
};

OpCase embed(const Embedding& shape) {
  OpCase result{.name = shape.name("embed"), .operation = "embed", .tensors = shape.indices(), .call = kEmbed};
  result.tensors.push_back({.name = "table", .dtype = shape.dtype, .shape = {shape.vocabulary, shape.width}});
  result.tensors.push_back(
      {.name = "y", .role = Role::output, .dtype = shape.dtype, .shape = {shape.rows, shape.width}});
  if (shape.context > 0)
    result.tensors.push_back({.name = "positions", .dtype = shape.dtype, .shape = {shape.context, shape.width}});
  return result;
}

OpCase embed_backward(const Embedding& shape) {
  OpCase result = embed(shape);
  result.name = shape.name("embed_backward");
  result.operation = "embed_backward";
  for (std::size_t index = 2; index < result.tensors.size(); ++index) result.tensors[index].role = Role::saved;
  result.tensors.push_back({.name = "dy", .dtype = shape.dtype, .shape = {shape.rows, shape.width}});
  result.tensors.push_back({.name = "dtable", .role = Role::inout, .shape = {shape.vocabulary, shape.width}});
  result.derivative = {
      .forward = kEmbed, .output = "y", .upstream = "dy", .gradients = {{"table", "dtable", Accumulate::add}}};
  if (shape.context > 0) {
    result.tensors.push_back({.name = "dpositions", .role = Role::inout, .shape = {shape.context, shape.width}});
    result.derivative->gradients.push_back({"positions", "dpositions", Accumulate::add});
  }
  result.call = [](Ops& ops, Stream& stream, const TensorSet& set) {
    ops.embed_backward(stream, set["token"], set["position"], set["dy"], set["dtable"], set.optional("dpositions"));
  };
  return result;
}

}  // namespace

std::vector<OpCase> product_cases() {
  std::vector<OpCase> cases;
  for (const DType dtype : {DType::f32, DType::bf16}) {
    for (const Linear& shape : {Linear{5, 7, 9, dtype, dtype},
                                {1, 64, 33, dtype, dtype},
                                {33, 48, 80, dtype, dtype, false},
                                {130, 128, 192, dtype, dtype},
                                {17, 40, 24, dtype, dtype, true, Accumulate::add, 8},
                                {0, 8, 8, dtype, dtype}}) {
      cases.push_back(linear(shape));
      cases.push_back(backward_input(shape));
      cases.push_back(backward_weight(shape));
      if (shape.accumulate == Accumulate::add) continue;
      cases.push_back(backward_weight(adding(shape)));
      cases.push_back(linear_gelu(shape));
      cases.push_back(linear_gelu_backward(shape));
    }
    const Linear strided{17, 40, 24, dtype, dtype, true, Accumulate::overwrite, 8};
    cases.push_back(linear_gelu(strided));
    cases.push_back(linear_gelu_backward(strided));
    cases.push_back(prepared({19, 64, 48, dtype, dtype}));
    for (const Embedding& shape :
         {Embedding{13, 11, 7, 24, dtype}, {1, 5, 3, 9, dtype}, {40, 6, 0, 17, dtype}, {1100, 50, 64, 72, dtype}}) {
      cases.push_back(embed(shape));
      cases.push_back(embed_backward(shape));
    }
  }
  cases.push_back(linear({9, 32, 65, DType::bf16, DType::f32, false}));
  return cases;
}

std::vector<OpCase> product_large_cases() {
  return {backward_weight({4000, 1, 2304}), backward_weight({4000, 1, 2304, DType::bf16, DType::bf16})};
}

std::vector<OpCase> product_timing_cases() {
  std::vector<OpCase> cases;
  for (const DType dtype : {DType::f32, DType::bf16}) {
    for (const Linear& shape : {Linear{1024, 768, 2304, dtype, dtype}, {1024, 3072, 768, dtype, dtype}}) {
      cases.push_back(linear(shape));
      cases.push_back(prepared(shape));
      cases.push_back(backward_input(shape));
      cases.push_back(backward_weight(shape));
      cases.push_back(linear_gelu(shape));
      cases.push_back(linear_gelu_backward(shape));
    }
    cases.push_back(embed({1024, 50304, 1024, 768, dtype}));
    cases.push_back(embed_backward({1024, 50304, 1024, 768, dtype}));
  }
  return cases;
}

}  // namespace ferula::test
