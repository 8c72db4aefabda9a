// Runs the table of operations on a GPU: against the exact reference, twice for the same bits, and random numbers
// against the counters that every backend shares.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/philox.hpp"
#include "gpu.hpp"
#include "ops/dropout_counter.hpp"
#include "support/elements.hpp"
#include "support/op_cases.hpp"
#include "support/op_check.hpp"

namespace ferula::test {
namespace {

using gpu_test::GpuBench;

std::string case_name(const testing::TestParamInfo<OpCase>& info) { return info.param.name; }

/// Attention in bf16 runs on the tensor cores. A product that is added to bf16 may be rounded by the library before the
/// addition, a relative error of 2^-9. Everything else sums in f32, as on the CPU.
std::vector<OpCase> gpu_cases() {
  std::vector<OpCase> cases = with_rounded_weights(op_cases());
  for (OpCase& each : large_cases()) cases.push_back(std::move(each));
  for (OpCase& each : cases) {
    const auto names = [&](const char* word) { return each.name.find(word) != std::string::npos; };
    if (names("bf16") && each.operation.starts_with("linear") && names("_add"))
      each.rounding = std::max(each.rounding, 0x1p-9);
  }
  return cases;
}

/// One GPU for all cases: its context takes longer than they do.
template <Determinism kDeterminism>
class GpuCases : public testing::TestWithParam<OpCase> {
 protected:
  static void SetUpTestSuite() { bench_ = std::make_unique<GpuBench>(kDeterminism); }
  static void TearDownTestSuite() { bench_.reset(); }
  static GpuBench& gpu() { return *bench_; }

  void expect_the_reference() {
    MemoryLedger ledger;
    const auto host = make_cpu_device(ledger);
    EXPECT_EQ(compare_with_reference(GetParam(), gpu().ops(), gpu().device(), *host), "");
  }

 private:
  static inline std::unique_ptr<GpuBench> bench_;
};
using GpuOpTable = GpuCases<Determinism::fastest>;
using GpuSameBits = GpuCases<Determinism::same_bits>;
/// Attention without a library's kernels.
class GpuOwnAttention : public GpuSameBits {};

std::vector<OpCase> gpu_attention_cases() {
  std::vector<OpCase> cases = gpu_cases();
  std::erase_if(cases, [](const OpCase& each) { return !each.operation.starts_with("attention"); });
  return cases;
}

TEST_P(GpuOpTable, AgreesWithTheReference) { expect_the_reference(); }

TEST_P(GpuOwnAttention, AgreesWithTheReference) { expect_the_reference(); }

TEST_P(GpuSameBits, GivesTheSameBitsAgain) {
  MemoryLedger ledger;
  const auto host = make_cpu_device(ledger);
  EXPECT_EQ(changed_between_runs(GetParam(), gpu().ops(), gpu().device(), *host, 2, [](int) {}), "");
}

INSTANTIATE_TEST_SUITE_P(All, GpuOpTable, testing::ValuesIn(gpu_cases()), case_name);
INSTANTIATE_TEST_SUITE_P(All, GpuSameBits, testing::ValuesIn(gpu_cases()), case_name);
INSTANTIATE_TEST_SUITE_P(All, GpuOwnAttention, testing::ValuesIn(gpu_attention_cases()), case_name);

/// Calls check(case, what a GPU made of x, how x began) for the cases of one operation.
template <class Check>
void run_cases(const std::string& operation, Check check) {
  GpuBench gpu;
  MemoryLedger ledger;
  const auto host = make_cpu_device(ledger);
  int seen = 0;
  for (const OpCase& each : op_cases()) {
    if (each.operation != operation) continue;
    const TensorSet before(*host, each.tensors, Precision::declared);
    TensorSet after(*host, each.tensors, Precision::declared);
    run_on(each, gpu.ops(), gpu.device(), after);
    check(each, after, before);
    ++seen;
  }
  EXPECT_GT(seen, 0);
}

TEST(GpuRandom, DropsWhatTheCounterSays) {
  run_cases("dropout", [](const OpCase& each, const TensorSet& after, const TensorSet& before) {
    const double rate = each.name.ends_with("rate0") ? 0.0 : 0.25;
    const auto scale = static_cast<float>(1.0 / (1.0 - static_cast<double>(static_cast<float>(rate))));
    const Elements x(after["x"]), old(before["x"]), sample(before["sample"]), position(before["position"]);
    for (std::int64_t row = 0; row < x.dim(0); ++row)
      for (std::int64_t column = 0; column < x.dim(1); ++column) {
        const std::uint32_t bits =
            dropout_bits(99, 41, sample.integer(row), static_cast<std::int32_t>(position.integer(row)), column);
        const bool dropped = (bits >> 8) < dropout_threshold(static_cast<float>(rate));
        const float kept = static_cast<float>(old.at(row, column)) * scale;
        const double expected = after["x"].dtype == DType::bf16 ? static_cast<float>(bf16(kept)) : kept;
        ASSERT_EQ(x.at(row, column), dropped ? 0.0 : expected) << each.name << " row " << row << " column " << column;
      }
  });
}

// A logarithm or sine in f64 that differs in its last bit moves the rounded value by at most one unit, and seldom.
TEST(GpuRandom, FillsWithTheNumbersOfTheCpu) {
  run_cases("fill_normal", [](const OpCase& each, const TensorSet& after, const TensorSet&) {
    const bool narrow = after["x"].dtype == DType::bf16;
    const std::int64_t first = each.name.ends_with("_77") ? 77 : 0;
    const Elements x(after["x"]);
    std::int64_t different = 0;
    for (std::int64_t index = 0; index < x.count(); ++index) {
      const double number = normal(1234, static_cast<std::uint64_t>(first + index));
      const auto rounded = static_cast<float>(static_cast<double>(0.02f) * number);
      const double expected = narrow ? static_cast<float>(bf16(rounded)) : rounded;
      const double difference = std::abs(x.flat_at(index) - expected);
      ASSERT_LE(difference, (narrow ? 0x1p-7 : 0x1p-22) * std::abs(expected)) << each.name << " element " << index;
      different += difference > 0 ? 1 : 0;
    }
    EXPECT_LE(different, 1) << each.name;
  });
}

TEST(GpuScratch, StaysAsItIsAfterTheFirstCalls) {
  GpuBench gpu;
  MemoryLedger ledger;
  const auto host = make_cpu_device(ledger);
  const std::vector<OpCase> cases = op_cases();
  const auto run_all = [&] {
    for (const OpCase& each : cases) {
      TensorSet set(*host, each.tensors, Precision::declared);
      run_on(each, gpu.ops(), gpu.device(), set);
    }
    return gpu.ledger().current_bytes();
  };

  const std::int64_t after_first = run_all();
  const std::int64_t after_second = run_all();

  EXPECT_GT(after_first, 0);
  EXPECT_EQ(after_second, after_first);
}

}  // namespace
}  // namespace ferula::test
