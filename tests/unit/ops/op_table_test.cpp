// Runs the table of operations on the CPU backend: against the exact reference, and against finite differences.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "ops/capabilities.hpp"
#include "support/op_cases.hpp"
#include "support/op_check.hpp"

namespace ferula::test {
namespace {

std::string case_name(const testing::TestParamInfo<OpCase>& info) { return info.param.name; }

std::vector<OpCase> differentiable_cases() {
  std::vector<OpCase> cases;
  for (OpCase& each : op_cases())
    if (each.derivative && each.name.find("bf16") == std::string::npos) cases.push_back(std::move(each));
  return cases;
}

/// Where the processor computes bf16, attention multiplies pairs of them.
std::vector<OpCase> cpu_cases() { return cpu_computes_bf16() ? with_rounded_weights(op_cases()) : op_cases(); }

class CpuOpTable : public testing::TestWithParam<OpCase> {};

TEST_P(CpuOpTable, AgreesWithTheReference) {
  MemoryLedger ledger;
  const auto device = make_cpu_device(ledger);
  const auto ops = make_cpu_ops(*device);

  const std::string wrong = compare_with_reference(GetParam(), *ops, *device);

  EXPECT_EQ(wrong, "");
}

INSTANTIATE_TEST_SUITE_P(All, CpuOpTable, testing::ValuesIn(cpu_cases()), case_name);

class ReferenceGradient : public testing::TestWithParam<OpCase> {};

TEST_P(ReferenceGradient, AgreesWithFiniteDifferences) {
  MemoryLedger ledger;
  const auto device = make_cpu_device(ledger);

  const std::string wrong = compare_with_differences(GetParam(), *device);

  EXPECT_EQ(wrong, "");
}

INSTANTIATE_TEST_SUITE_P(All, ReferenceGradient, testing::ValuesIn(differentiable_cases()), case_name);

TEST(OpTable, HasACaseForEveryOperationOfTheInterface) {
  std::set<std::string> covered, timed;
  for (const OpCase& each : op_cases()) covered.insert(each.operation);
  for (const OpCase& each : timing_cases()) timed.insert(each.operation);

  const std::vector<std::string> operations = operations_of_interface();

  EXPECT_GE(operations.size(), 25u);
  EXPECT_THAT(covered, testing::UnorderedElementsAreArray(operations));
  for (const std::string& each : timed) EXPECT_TRUE(covered.contains(each)) << each;
}

TEST(OpTable, DifferentiatesEveryBackwardOperation) {
  std::set<std::string> differentiated;
  for (const OpCase& each : differentiable_cases()) differentiated.insert(each.operation);

  for (const std::string& each : operations_of_interface()) {
    if (each.find("backward") == std::string::npos) continue;
    EXPECT_TRUE(differentiated.contains(each)) << each;
  }
  EXPECT_TRUE(differentiated.contains("rotary"));
  EXPECT_TRUE(differentiated.contains("cross_entropy"));
}

}  // namespace
}  // namespace ferula::test
