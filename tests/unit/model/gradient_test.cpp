// Every gradient of the model against finite differences of its loss, in double precision on the plain operations.
#include <gtest/gtest.h>

#include "support/model_fixture.hpp"

namespace ferula::test {
namespace {

struct GradientCase {
  std::string name;
  TransformerSpec spec;
  std::vector<std::string> frozen;

  friend std::ostream& operator<<(std::ostream& out, const GradientCase& tested) { return out << tested.name; }
};

std::vector<GradientCase> cases() {
  GradientCase gpt2{"Gpt2Tied", tiny_spec("gpt2"), {}};
  GradientCase gpt2_untied{"Gpt2Untied", tiny_spec("gpt2"), {}};
  gpt2_untied.spec.tied = false;
  GradientCase llama{"LlamaUntied", tiny_spec("llama"), {}};
  GradientCase llama_tied{"LlamaTiedGrouped", tiny_grouped_spec(), {}};
  llama_tied.spec.tied = true;
  GradientCase grouped{"LlamaGroupedOneKeyHead", tiny_grouped_spec(), {}};
  grouped.spec.kv_heads = 1;
  GradientCase dropout{"Gpt2Dropout", tiny_spec("gpt2"), {}};
  dropout.spec.dropout = 0.3f;
  GradientCase frozen{"Gpt2PartlyFrozen", tiny_spec("gpt2"), {"embedding.token.weight", "blocks.1.*", "*.key.bias"}};
  GradientCase top{"LlamaTopOnly", tiny_spec("llama"), {"embedding.*", "blocks.0.*", "blocks.1.*", "*.gate.weight"}};
  return {gpt2, gpt2_untied, llama, llama_tied, grouped, dropout, frozen, top};
}

class ModelGradient : public testing::TestWithParam<GradientCase> {};

/// Moves a tensor by `length` along `direction`.
void move(const TensorView& tensor, const std::vector<double>& direction, double length) {
  const TensorView flat = tensor.range(0, tensor.count());
  for (std::int64_t index = 0; index < flat.count(); ++index)
    Elements(flat).add(length * direction[static_cast<std::size_t>(index)], index);
}

/// The change of the loss along `direction`, central difference of `step`.
double slope(TestModel& model, TestBatch& batch, const TensorView& tensor, const std::vector<double>& direction,
             double step) {
  const auto loss_at = [&](double length) {
    move(tensor, direction, length);
    model.transformer.forward(batch.view(), 0);
    const double loss = model.transformer.backward(batch.view(), 0, 1.0f);
    move(tensor, direction, -length);
    return loss;
  };
  return (loss_at(step) - loss_at(-step)) / (2.0 * step);
}

std::vector<double> random_direction(std::size_t count, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<double> normal;
  std::vector<double> direction(count);
  for (double& value : direction) value = normal(random);
  const double length = norm_of(direction);
  for (double& value : direction) value /= length;
  return direction;
}

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0.0;
  for (std::size_t index = 0; index < a.size(); ++index) sum += a[index] * b[index];
  return sum;
}

/// Losses and logits are f32 (relative error 2⁻²⁴ of about 4 a row, 18 rows), so a slope over 2 · 10⁻³ is uncertain by
/// about 10⁻³ where errors agree in sign; gradients of single tensors are between 0.1 and 30.
TEST_P(ModelGradient, IsTheSlopeOfTheLoss) {
  on_ranks(MeshShape{}, [&](RankParts& rank) {
    const TransformerSpec& spec = GetParam().spec;
    ModelSpec table = parameter_table(spec, DType::f64);
    freeze(table, GetParam().frozen);
    TestModel model(rank, spec, table, {.compute = DType::f64, .rows = 18, .logit_bytes = 5 * 4 * spec.vocabulary});
    TestBatch batch(spec, {7, 1, 10}, 3);
    model.train(batch, 1.0f);
    const std::vector<std::vector<double>> gradients = all_gradients(model);

    std::size_t trained = 0;
    for (std::size_t unit = 0; unit < table.size(); ++unit) {
      for (std::size_t param = 0; param < table[unit].params.size(); ++param) {
        if (!table[unit].params[param].trainable) continue;
        const std::vector<double>& gradient = gradients[trained++];
        const double size = norm_of(gradient);
        std::vector<double> uphill = gradient;
        for (double& value : uphill) value /= std::max(size, 1e-30);
        const auto random = random_direction(gradient.size(), static_cast<std::uint32_t>(trained));
        const TensorView value = model.value(unit, param);
        const std::string& name = table[unit].params[param].name;

        EXPECT_NEAR(slope(model, batch, value, uphill, 1e-3), size, 2e-3 + 1e-3 * size) << name;
        EXPECT_NEAR(slope(model, batch, value, random, 1e-3), dot(gradient, random), 2e-3 + 1e-3 * size) << name;
      }
    }
    EXPECT_EQ(trained, gradients.size());
  });
}

INSTANTIATE_TEST_SUITE_P(Families, ModelGradient, testing::ValuesIn(cases()),
                         [](const auto& tested) { return tested.param.name; });

}  // namespace
}  // namespace ferula::test
