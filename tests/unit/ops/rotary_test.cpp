// Properties of the CPU's rotary embedding: lengths, relative positions far out, inverses, broken promises.
#include <gtest/gtest.h>

#include <cmath>

#include "ops/ops.hpp"
#include "support/elements.hpp"
#include "support/op_case.hpp"

namespace ferula::test {
namespace {

class CpuRotary : public testing::Test {
 protected:
  TensorSet rows_at(const std::vector<double>& positions, std::int64_t head_dim) {
    const auto rows = static_cast<std::int64_t>(positions.size());
    return TensorSet(*device_,
                     {{.name = "x", .shape = {rows, 2, head_dim}},
                      {.name = "position", .dtype = DType::i32, .shape = {rows}, .values = positions}},
                     Precision::declared);
  }
  void rotate(const TensorSet& set, RotaryDirection direction = RotaryDirection::forward) {
    ops_->rotary(*stream_, set["x"], set["position"], 10000.0f, direction);
  }

  MemoryLedger ledger_;
  std::unique_ptr<Device> device_ = make_cpu_device(ledger_);
  std::unique_ptr<Stream> stream_ = device_->make_stream();
  std::unique_ptr<Ops> ops_ = make_cpu_ops(*device_);
};

double dot(const Elements& x, std::int64_t a, std::int64_t b, std::int64_t head_dim) {
  double sum = 0;
  for (std::int64_t c = 0; c < head_dim; ++c) sum += x.at(a, 0, c) * x.at(b, 0, c);
  return sum;
}

TEST_F(CpuRotary, KnowsRelativePositionsTwoBillionTokensOut) {
  const TensorSet near = rows_at({0, 5}, 64), far = rows_at({2000000000, 2000000005}, 64);

  rotate(near);
  rotate(far);

  // 64 products of about 1, each with a few roundings of f32 and an angle that is exact to 1e-6.
  EXPECT_NEAR(dot(Elements(near["x"]), 0, 1, 64), dot(Elements(far["x"]), 0, 1, 64), 64 * 2e-6);
}

TEST_F(CpuRotary, LeavesPositionZeroAsItIs) {
  const TensorSet turned = rows_at({0}, 80), still = rows_at({0}, 80);

  rotate(turned);

  for (std::int64_t at = 0; at < 160; ++at)
    EXPECT_EQ(Elements(turned["x"]).flat_at(at), Elements(still["x"]).flat_at(at));
}

TEST_F(CpuRotary, UndoesItselfBackwards) {
  const TensorSet turned = rows_at({1, 77, 4096}, 96), still = rows_at({1, 77, 4096}, 96);

  rotate(turned);
  rotate(turned, RotaryDirection::backward);

  for (std::int64_t at = 0; at < 3 * 2 * 96; ++at)  // two rotations of numbers below 4 in f32
    EXPECT_NEAR(Elements(turned["x"]).flat_at(at), Elements(still["x"]).flat_at(at), 4 * 8 * 0x1p-24);
}

TEST_F(CpuRotary, RefusesAnOddHead) {
  const TensorSet set = rows_at({1}, 7);

  EXPECT_ANY_THROW(rotate(set));
}

}  // namespace
}  // namespace ferula::test
