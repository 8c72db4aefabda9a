// What the table of operations cannot say about CPU attention: threads, scratch memory, extremes, broken promises.
#include <gtest/gtest.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "ops/ops.hpp"
#include "support/elements.hpp"
#include "support/op_case.hpp"

namespace ferula::test {
namespace {

constexpr AttentionSpec kSpec{.heads = 4, .kv_heads = 2, .head_dim = 32, .scale = 0.18f};

/// Everything that forward and backward read and write, for packed sequences of the given lengths.
std::vector<TensorSpec> tensors(DType dtype, const std::vector<double>& starts, double deviation = 1.0) {
  const auto rows = static_cast<std::int64_t>(starts.back());
  std::vector<TensorSpec> specs = {
      {.name = "starts", .dtype = DType::i32, .shape = {static_cast<std::int64_t>(starts.size())}, .values = starts},
      {.name = "logsumexp", .shape = {kSpec.heads, rows}}};
  for (const char* name : {"q", "out", "dout", "dq"})
    specs.push_back(
        {.name = name, .dtype = dtype, .shape = {rows, kSpec.heads, kSpec.head_dim}, .deviation = deviation});
  for (const char* name : {"k", "v", "dk", "dv"})
    specs.push_back(
        {.name = name, .dtype = dtype, .shape = {rows, kSpec.kv_heads, kSpec.head_dim}, .deviation = deviation});
  return specs;
}

class CpuAttention : public testing::TestWithParam<DType> {
 protected:
  TensorSet operands(const std::vector<double>& starts, double deviation = 1.0) {
    return {*device_, tensors(GetParam(), starts, deviation), Precision::declared};
  }
  void forward(const TensorSet& set) {
    ops_->attention(*stream_, kSpec, set["q"], set["k"], set["v"], set["starts"], set["out"], set["logsumexp"]);
  }
  void backward(const TensorSet& set) {
    ops_->attention_backward(*stream_, kSpec, set["q"], set["k"], set["v"], set["starts"], set["out"], set["dout"],
                             set["logsumexp"], set["dq"], set["dk"], set["dv"]);
  }

  MemoryLedger ledger_;
  std::unique_ptr<Device> device_ = make_cpu_device(ledger_);
  std::unique_ptr<Stream> stream_ = device_->make_stream();
  std::unique_ptr<Ops> ops_ = make_cpu_ops(*device_);
};

std::vector<double> values_of(const TensorView& view) {
  const Elements elements(view);
  std::vector<double> values;
  for (std::int64_t index = 0; index < elements.count(); ++index) values.push_back(elements.flat_at(index));
  return values;
}

INSTANTIATE_TEST_SUITE_P(Types, CpuAttention, testing::Values(DType::f32, DType::bf16),
                         [](const auto& info) { return std::string(name_of(info.param)); });

TEST_P(CpuAttention, GivesTheSameBitsOnAnyNumberOfThreads) {
  const int before = omp_get_max_threads();
  std::vector<std::vector<double>> results;

  for (const int threads : {1, 2, 3, 7}) {
    omp_set_num_threads(threads);
    const TensorSet set = operands({0, 200, 201, 330});
    forward(set);
    backward(set);
    std::vector<double> all;
    for (const char* name : {"out", "logsumexp", "dq", "dk", "dv"})
      for (const double value : values_of(set[name])) all.push_back(value);
    results.push_back(std::move(all));
  }
  omp_set_num_threads(before);

  for (const auto& result : results) EXPECT_EQ(result, results[0]);
}

TEST_P(CpuAttention, ForwardScratchDoesNotGrowWithTheSequence) {
  std::vector<std::int64_t> scratch;

  for (const double length : {128.0, 1024.0}) {
    const TensorSet set = operands({0, length});
    const std::int64_t tensor_bytes = ledger_.current_bytes();
    const auto ops = make_cpu_ops(*device_);
    ops->attention(*stream_, kSpec, set["q"], set["k"], set["v"], set["starts"], set["out"], set["logsumexp"]);
    scratch.push_back(ledger_.current_bytes() - tensor_bytes);
  }

  EXPECT_GT(scratch[0], 0);
  EXPECT_EQ(scratch[0], scratch[1]);
}

TEST_P(CpuAttention, AllocatesInTheFirstCallOnly) {
  const TensorSet set = operands({0, 70, 140});
  forward(set);
  backward(set);
  const std::int64_t allocations = ledger_.allocations();

  forward(set);
  backward(set);

  EXPECT_EQ(ledger_.allocations(), allocations);
}

TEST_P(CpuAttention, StaysFiniteWhereScoresAreHuge) {
  const TensorSet set = operands({0, 150}, 100.0);  // scores reach ± 10,000

  forward(set);
  backward(set);

  for (const char* name : {"out", "logsumexp", "dq", "dk", "dv"})
    for (const double value : values_of(set[name])) ASSERT_TRUE(std::isfinite(value)) << name;
}

TEST_P(CpuAttention, PassesANanOnToTheRowsThatSeeIt) {
  const TensorSet set = operands({0, 100});
  Elements(set["k"]).set(std::numeric_limits<double>::quiet_NaN(), 40, 0, 3);

  forward(set);

  const Elements out(set["out"]);
  EXPECT_TRUE(std::isfinite(out.at(39, 0, 0)));
  EXPECT_TRUE(std::isnan(out.at(40, 0, 0)));
  EXPECT_TRUE(std::isnan(out.at(99, 1, 5)));
  EXPECT_TRUE(std::isfinite(out.at(99, 2, 5)));  // its key head is another one
}

TEST_P(CpuAttention, RefusesSequencesBeyondTheRows) {
  const TensorSet set = operands({0, 10});
  set["starts"].as<std::int32_t>()[1] = 11;

  EXPECT_ANY_THROW(forward(set));
}

TEST_P(CpuAttention, RefusesAPositionBeyondTheCache) {
  const TensorSet set(*device_,
                      {{.name = "q", .shape = {1, 4, 32}},
                       {.name = "out", .shape = {1, 4, 32}},
                       {.name = "cache", .shape = {2, 8, 2, 32}},
                       {.name = "slot", .dtype = DType::i32, .shape = {1}, .values = {1}},
                       {.name = "position", .dtype = DType::i32, .shape = {1}, .values = {8}}},
                      Precision::declared);

  EXPECT_ANY_THROW(ops_->attention_cached(*stream_, kSpec, set["q"], set["cache"], set["cache"], set["slot"],
                                          set["position"], set["out"]));
}

}  // namespace
}  // namespace ferula::test
