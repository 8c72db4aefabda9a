// Reductions in rank order against a plain loop, at the edges of the blocks in which they run.
#include "comm/ordered_reduce.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "comm_fixture.hpp"

namespace ferula {
namespace {

using test::view_of;

template <class T>
std::vector<std::vector<T>> operands_of(std::size_t ranks, std::size_t count) {
  std::vector<std::vector<T>> operands(ranks, std::vector<T>(count));
  for (std::size_t rank = 0; rank < ranks; ++rank)
    for (std::size_t i = 0; i < count; ++i)
      operands[rank][i] = T(static_cast<float>((rank * 7919 + i * 104729) % 2003) * 0.37f - 300.0f);
  return operands;
}

template <class T>
std::vector<T> reduced(std::vector<std::vector<T>>& operands, ReduceOp op) {
  std::vector<T> result(operands.front().size());
  std::vector<TensorView> views;
  for (std::vector<T>& operand : operands) views.push_back(view_of(operand));
  const TensorView destination = view_of(result);
  reduce_in_order(views, {&destination, 1}, op);
  return result;
}

template <class T>
class OrderedReduce : public ::testing::Test {};
using Types = ::testing::Types<float, double, bf16, std::int32_t, std::int64_t>;
TYPED_TEST_SUITE(OrderedReduce, Types);

TYPED_TEST(OrderedReduce, AddsFromTheFirstRankToTheLast) {
  using Wide = std::conditional_t<std::is_same_v<TypeParam, bf16>, float, TypeParam>;
  for (const std::size_t ranks : {1u, 2u, 3u, 4u, 5u})
    for (const std::size_t count : {1u, 3u, 2047u, 2048u, 2049u, 5003u}) {
      auto operands = operands_of<TypeParam>(ranks, count);
      const std::vector<TypeParam> sums = reduced(operands, ReduceOp::sum);
      const std::vector<TypeParam> maxima = reduced(operands, ReduceOp::max);
      for (std::size_t i = 0; i < count; ++i) {
        Wide sum = static_cast<Wide>(operands[0][i]), maximum = sum;
        for (std::size_t rank = 1; rank < operands.size(); ++rank) {
          sum += static_cast<Wide>(operands[rank][i]);
          maximum = std::max(maximum, static_cast<Wide>(operands[rank][i]));
        }
        ASSERT_EQ(sums[i], static_cast<TypeParam>(sum)) << ranks << " ranks, element " << i;
        ASSERT_EQ(maxima[i], static_cast<TypeParam>(maximum)) << ranks << " ranks, element " << i;
      }
    }
}

TEST(OrderedReduce, ANanWinsWhereverItStands) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  std::vector<std::vector<float>> operands{{kNan, 1.0f}, {2.0f, kNan}, {3.0f, 3.0f}};

  for (const ReduceOp op : {ReduceOp::sum, ReduceOp::max})
    for (const float value : reduced(operands, op)) EXPECT_TRUE(std::isnan(value));
}

TYPED_TEST(OrderedReduce, ResultsMayReplaceTheOperands) {
  for (const std::size_t ranks : {2u, 3u, 4u, 5u}) {
    auto operands = operands_of<TypeParam>(ranks, 4099);
    const std::vector<TypeParam> expected = reduced(operands, ReduceOp::sum);
    std::vector<TensorView> views;
    for (std::vector<TypeParam>& operand : operands) views.push_back(view_of(operand));

    reduce_in_order(views, views, ReduceOp::sum);

    for (const std::vector<TypeParam>& operand : operands) EXPECT_EQ(operand, expected) << ranks;
  }
}

TEST(OrderedReduce, KnowsWhichTypesItCanReduce) {
  EXPECT_TRUE(is_reducible(DType::bf16));
  EXPECT_FALSE(is_reducible(DType::u8));
  EXPECT_FALSE(is_reducible(DType::f16));
}

}  // namespace
}  // namespace ferula
