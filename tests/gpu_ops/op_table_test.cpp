// Runs the table of operations on a GPU: against the exact reference, twice for the same bits, and against the CPU
// backend where both promise the same bits.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "gpu.hpp"
#include "support/elements.hpp"
#include "support/op_cases.hpp"
#include "support/op_check.hpp"

namespace ferula::test {
namespace {

using gpu_test::GpuBench;

std::string case_name(const testing::TestParamInfo<OpCase>& info) { return info.param.name; }

/// Attention in bf16 gives weights and slopes to the tensor cores rounded to bf16, a relative error of 2^-9 each: as
/// if the operands that they multiply had been moved by as much. Everything else sums in f32, as on the CPU.
std::vector<OpCase> gpu_cases() {
  std::vector<OpCase> cases = op_cases();
  for (OpCase& each : cases) {
    const bool on_tensor_cores = each.operation == "attention" || each.operation == "attention_backward";
    if (on_tensor_cores && each.name.find("bf16") != std::string::npos) each.rounding = std::max(each.rounding, 0x1p-9);
  }
  return cases;
}

class GpuOpTable : public testing::TestWithParam<OpCase> {
 protected:
  /// One GPU for all cases: its context takes longer than they do.
  static GpuBench& gpu() {
    static GpuBench bench;
    return bench;
  }
};

TEST_P(GpuOpTable, AgreesWithTheReference) {
  MemoryLedger ledger;
  const auto host = make_cpu_device(ledger);

  const std::string wrong = compare_with_reference(GetParam(), gpu().ops(), gpu().device(), *host);

  EXPECT_EQ(wrong, "");
}

TEST_P(GpuOpTable, GivesTheSameBitsAgain) {
  MemoryLedger ledger;
  const auto host = make_cpu_device(ledger);
  const auto reference = make_reference_ops();
  const auto stream = host->make_stream();
  TensorSet first(*host, GetParam().tensors, Precision::declared);
  if (GetParam().prepare) GetParam().prepare(*reference, *stream, first);
  TensorSet second(*host, GetParam().tensors, Precision::declared);
  second.copy_from(first);

  run_on(GetParam(), gpu().ops(), gpu().device(), first);
  run_on(GetParam(), gpu().ops(), gpu().device(), second);

  for (const TensorSpec& spec : GetParam().tensors) {
    const auto a = first.bytes_of_tensor(spec.name), b = second.bytes_of_tensor(spec.name);
    EXPECT_TRUE(std::equal(a.begin(), a.end(), b.begin(), b.end())) << spec.name;
  }
}

INSTANTIATE_TEST_SUITE_P(All, GpuOpTable, testing::ValuesIn(gpu_cases()), case_name);

/// The cases of one operation, as run by the CPU and by the GPU backend from equal operands.
template <class Compare>
void compare_backends(const std::string& operation, Compare compare) {
  GpuBench gpu;
  MemoryLedger ledger;
  const auto host = make_cpu_device(ledger);
  const auto cpu = make_cpu_ops(*host);
  const auto stream = host->make_stream();
  int compared = 0;
  for (const OpCase& each : op_cases()) {
    if (each.operation != operation) continue;
    TensorSet ours(*host, each.tensors, Precision::declared);
    TensorSet theirs(*host, each.tensors, Precision::declared);
    run_on(each, gpu.ops(), gpu.device(), ours);
    each.call(*cpu, *stream, theirs);
    compare(each, Elements(ours["x"]), Elements(theirs["x"]));
    ++compared;
  }
  EXPECT_GT(compared, 0);
}

TEST(GpuRandom, DropsWhatTheCpuDrops) {
  compare_backends("dropout", [](const OpCase& each, const Elements& gpu, const Elements& cpu) {
    for (std::int64_t index = 0; index < gpu.count(); ++index)
      ASSERT_EQ(gpu.flat_at(index), cpu.flat_at(index)) << each.name << " element " << index;
  });
}

// A logarithm or sine in f64 that differs in its last bit moves the rounded value by at most one unit, and seldom.
TEST(GpuRandom, FillsWithTheNumbersOfTheCpu) {
  compare_backends("fill_normal", [](const OpCase& each, const Elements& gpu, const Elements& cpu) {
    const double unit = each.name.find("bf16") != std::string::npos ? 0x1p-7 : 0x1p-22;
    std::int64_t different = 0;
    for (std::int64_t index = 0; index < gpu.count(); ++index) {
      const double difference = std::abs(gpu.flat_at(index) - cpu.flat_at(index));
      ASSERT_LE(difference, unit * std::abs(cpu.flat_at(index))) << each.name << " element " << index;
      different += difference > 0 ? 1 : 0;
    }
    EXPECT_LE(different, 1 + gpu.count() / 1000) << each.name;
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
