// Results of kernels do not depend on the order in which threads and blocks run: a barrier that is missing, or a sum in
// the order of arrival, changes them.
#include <gtest/gtest.h>

#include <vector>

#include "gpu.hpp"
#include "grid.hpp"
#include "support/op_cases.hpp"
#include "support/op_check.hpp"

namespace ferula::test {
namespace {

using emulated::Order;

std::string case_name(const testing::TestParamInfo<OpCase>& info) { return info.param.name; }

class EmulatedOrder : public testing::TestWithParam<OpCase> {
 protected:
  static void SetUpTestSuite() { gpu_ = std::make_unique<gpu_test::GpuBench>(Determinism::same_bits); }
  static void TearDownTestSuite() { gpu_.reset(); }
  void TearDown() override { emulated::set_order(Order::forwards); }

  static gpu_test::GpuBench& gpu() { return *gpu_; }

 private:
  static inline std::unique_ptr<gpu_test::GpuBench> gpu_;
};

TEST_P(EmulatedOrder, ChangesNoBit) {
  constexpr Order kOrders[] = {Order::forwards, Order::backwards, Order::shuffled};
  MemoryLedger ledger;
  const auto host = make_cpu_device(ledger);
  EXPECT_EQ(changed_between_runs(GetParam(), gpu().ops(), gpu().device(), *host, 3,
                                 [&](int run) { emulated::set_order(kOrders[run]); }),
            "");
}

/// Of the large ones those that make a block walk over several rows.
std::vector<OpCase> ordered_cases() {
  std::vector<OpCase> cases = op_cases();
  for (OpCase& each : large_cases())
    if (!each.operation.starts_with("linear")) cases.push_back(std::move(each));
  return cases;
}

INSTANTIATE_TEST_SUITE_P(All, EmulatedOrder, testing::ValuesIn(ordered_cases()), case_name);

}  // namespace
}  // namespace ferula::test
