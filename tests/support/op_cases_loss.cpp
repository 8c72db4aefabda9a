// Cases of the cross-entropy loss.
#include "support/op_cases.hpp"

namespace ferula::test {
namespace {

struct Loss {
  std::int64_t rows, vocabulary, columns;
  DType dtype = DType::f32;  // of the gradient
  bool gradient = true;
  double deviation = 3.0;  // of the logits
  double scale = 0.125;
  bool ignored_rows = true;

  std::string name() const {
    return fmt::format("cross_entropy_{}_{}x{}of{}_deviation{}{}", name_of(dtype), rows, vocabulary, columns,
                       static_cast<int>(deviation), gradient ? "" : "_loss_only");
  }
  std::vector<double> targets() const {
    std::vector<double> result;
    for (std::int64_t row = 0; row < rows; ++row)
      result.push_back(ignored_rows && row % 4 == 2 ? -1.0
                                                    : static_cast<double>((row * 13 + vocabulary - 1) % vocabulary));
    return result;
  }
};

OpCase cross_entropy(const Loss& shape) {
  OpCase result{.name = shape.name(), .operation = "cross_entropy"};
  result.tensors = {{.name = "logits",
                     .shape = {shape.rows, shape.columns},
                     .deviation = shape.deviation,
                     .row_gap = shape.columns % 2 == 0 ? 0 : 5},
                    {.name = "target", .dtype = DType::i32, .shape = {shape.rows}, .values = shape.targets()},
                    {.name = "losses", .role = Role::output, .shape = {shape.rows}},
                    {.name = "upstream",
                     .role = Role::saved,
                     .shape = {shape.rows},
                     .values = std::vector<double>(static_cast<std::size_t>(shape.rows), shape.scale)}};
  if (shape.gradient)
    result.tensors.push_back(
        {.name = "dlogits", .role = Role::output, .dtype = shape.dtype, .shape = {shape.rows, shape.columns}});
  result.call = [=](Ops& ops, Stream& stream, const TensorSet& set) {
    ops.cross_entropy(stream, set["logits"], set["target"], shape.vocabulary, static_cast<float>(shape.scale),
                      set["losses"], set.optional("dlogits"));
  };
  if (shape.gradient)
    result.derivative = Derivative{
        .forward = result.call, .output = "losses", .upstream = "upstream", .gradients = {{"logits", "dlogits"}}};
  return result;
}

}  // namespace

std::vector<OpCase> loss_cases() {
  std::vector<OpCase> cases;
  for (const DType dtype : {DType::f32, DType::bf16})
    for (const Loss& shape : {Loss{9, 37, 41, dtype},
                              {1, 1, 16, dtype},
                              {4, 256, 256, dtype},
                              {6, 50, 64, dtype, true, 60.0},
                              {3, 2500, 2503, dtype},
                              {5, 8201, 8208, dtype},
                              {5, 8201, 8209, dtype},
                              {3, 20000, 20032, dtype},
                              {2, 50257, 50304, dtype},
                              {5, 20, 24, dtype, false},
                              {0, 8, 8, dtype}})
      cases.push_back(cross_entropy(shape));
  return cases;
}

std::vector<OpCase> loss_large_cases() {
  return {cross_entropy({150, 8500, 8512}), cross_entropy({150, 8500, 8512, DType::bf16})};
}

std::vector<OpCase> loss_timing_cases() {
  std::vector<OpCase> cases;
  for (const DType dtype : {DType::f32, DType::bf16})
    cases.push_back(cross_entropy({128, 50257, 50304, dtype, true, 3.0, 0.125, false}));
  return cases;
}

}  // namespace ferula::test
