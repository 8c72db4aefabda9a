// Runs the table of operations with the kernels of each instruction set that this processor has, down to plain C++:
// what runs on other processors is tested here.
#include <gtest/gtest.h>
#include <hwy/targets.h>

#include "support/op_cases.hpp"
#include "support/op_check.hpp"

namespace ferula::test {
namespace {

/// Lets Highway see only some instruction sets while it lives.
class OnlyTargets {
 public:
  explicit OnlyTargets(std::int64_t targets) { choose(targets); }
  ~OnlyTargets() { choose(0); }  // 0 detects the processor again
  OnlyTargets(const OnlyTargets&) = delete;
  OnlyTargets& operator=(const OnlyTargets&) = delete;

 private:
  static void choose(std::int64_t targets) {
    hwy::SetSupportedTargetsForTest(targets);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }
};

class InstructionSet : public testing::TestWithParam<std::int64_t> {};

TEST_P(InstructionSet, AgreesWithTheReference) {
  if ((hwy::SupportedTargets() & GetParam()) == 0 && GetParam() != HWY_SCALAR) GTEST_SKIP() << "not on this processor";
  const OnlyTargets only(GetParam());
  MemoryLedger ledger;
  const auto device = make_cpu_device(ledger);
  const auto ops = make_cpu_ops(*device);

  for (const OpCase& each : op_cases()) EXPECT_EQ(compare_with_reference(each, *ops, *device), "") << each.name;
}

INSTANTIATE_TEST_SUITE_P(All, InstructionSet, testing::Values(HWY_SCALAR, HWY_AVX2),
                         [](const auto& info) { return std::string(hwy::TargetName(info.param)); });

}  // namespace
}  // namespace ferula::test
