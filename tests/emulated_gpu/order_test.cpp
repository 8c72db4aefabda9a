// Results of kernels do not depend on the order in which threads and blocks run: a barrier that is missing, or a sum in
// the order of arrival, changes them.
#include <gtest/gtest.h>

#include <vector>

#include "gpu.hpp"
#include "grid.hpp"
#include "support/op_cases.hpp"
#include "support/op_check.hpp"
#include "support/reference_ops.hpp"

namespace ferula::test {
namespace {

using emulated::Order;

std::string case_name(const testing::TestParamInfo<OpCase>& info) { return info.param.name; }

class EmulatedOrder : public testing::TestWithParam<OpCase> {
 protected:
  static void SetUpTestSuite() { gpu_ = std::make_unique<gpu_test::GpuBench>(Determinism::same_bits); }
  static void TearDownTestSuite() { gpu_.reset(); }
  void TearDown() override { emulated::set_order(Order::forwards); }

  static void run(TensorSet& tensors, Order order) {
    emulated::set_order(order);
    run_on(GetParam(), gpu_->ops(), gpu_->device(), tensors);
  }

 private:
  static inline std::unique_ptr<gpu_test::GpuBench> gpu_;
};

TEST_P(EmulatedOrder, ChangesNoBit) {
  MemoryLedger ledger;
  const auto host = make_cpu_device(ledger);
  const auto reference = make_reference_ops();
  const auto stream = host->make_stream();
  TensorSet first(*host, GetParam().tensors, Precision::declared);
  if (GetParam().prepare) GetParam().prepare(*reference, *stream, first);
  TensorSet backwards(*host, GetParam().tensors, Precision::declared);
  TensorSet shuffled(*host, GetParam().tensors, Precision::declared);
  backwards.copy_from(first);
  shuffled.copy_from(first);

  run(first, Order::forwards);
  run(backwards, Order::backwards);
  run(shuffled, Order::shuffled);

  for (const TensorSpec& spec : GetParam().tensors) {
    const auto expected = first.bytes_of_tensor(spec.name);
    for (const TensorSet* other : {&backwards, &shuffled}) {
      const auto found = other->bytes_of_tensor(spec.name);
      EXPECT_TRUE(std::equal(expected.begin(), expected.end(), found.begin(), found.end())) << spec.name;
    }
  }
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
