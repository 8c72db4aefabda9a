// What the table of operations cannot say about the CPU's cross-entropy: extremes, memory in place, broken promises.
#include <gtest/gtest.h>

#include <cmath>

#include "ops/ops.hpp"
#include "support/elements.hpp"
#include "support/op_case.hpp"

namespace ferula::test {
namespace {

std::vector<TensorSpec> tensors(std::int64_t rows, std::int64_t columns, double deviation) {
  return {{.name = "logits", .shape = {rows, columns}, .deviation = deviation},
          {.name = "target", .dtype = DType::i32, .shape = {rows}, .values = std::vector<double>(rows, 3.0)},
          {.name = "losses", .shape = {rows}},
          {.name = "dlogits", .shape = {rows, columns}}};
}

class CpuCrossEntropy : public testing::Test {
 protected:
  void run(const TensorSet& set, std::int64_t vocabulary, const TensorView& gradient) {
    ops_->cross_entropy(*stream_, set["logits"], set["target"], vocabulary, 1.0f, set["losses"], gradient);
  }

  MemoryLedger ledger_;
  std::unique_ptr<Device> device_ = make_cpu_device(ledger_);
  std::unique_ptr<Stream> stream_ = device_->make_stream();
  std::unique_ptr<Ops> ops_ = make_cpu_ops(*device_);
};

TEST_F(CpuCrossEntropy, StaysFiniteWhereLogitsAreHuge) {
  const TensorSet set(*device_, tensors(5, 300, 1e5), Precision::declared);

  run(set, 300, set["dlogits"]);

  for (const float loss : set["losses"].span<float>()) EXPECT_TRUE(std::isfinite(loss));
  for (const float slope : set["dlogits"].span<float>()) ASSERT_TRUE(std::isfinite(slope));
}

TEST_F(CpuCrossEntropy, WritesTheGradientOverItsLogits) {
  const TensorSet apart(*device_, tensors(6, 77, 2.0), Precision::declared);
  const TensorSet in_place(*device_, tensors(6, 77, 2.0), Precision::declared);

  run(apart, 70, apart["dlogits"]);
  run(in_place, 70, in_place["logits"]);

  for (std::int64_t at = 0; at < 6 * 77; ++at)
    ASSERT_EQ(Elements(in_place["logits"]).flat_at(at), Elements(apart["dlogits"]).flat_at(at));
}

TEST_F(CpuCrossEntropy, PassesANanOn) {
  const TensorSet set(*device_, tensors(2, 64, 1.0), Precision::declared);
  Elements(set["logits"]).set(std::nan(""), 1, 9);

  run(set, 64, set["dlogits"]);

  EXPECT_TRUE(std::isfinite(Elements(set["losses"]).at(0)));
  EXPECT_TRUE(std::isnan(Elements(set["losses"]).at(1)));
}

TEST_F(CpuCrossEntropy, RefusesATargetBeyondTheVocabulary) {
  const TensorSet set(*device_, tensors(2, 8, 1.0), Precision::declared);

  EXPECT_ANY_THROW(run(set, 3, set["dlogits"]));
}

}  // namespace
}  // namespace ferula::test
