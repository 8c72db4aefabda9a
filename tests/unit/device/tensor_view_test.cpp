// Slices and shapes of views.
#include "device/tensor_view.hpp"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

namespace ferula {
namespace {

class Views : public testing::Test {
 protected:
  Views() : memory_(24) { std::iota(memory_.begin(), memory_.end(), 0.0f); }
  TensorView view(std::initializer_list<std::int64_t> shape) {
    return {reinterpret_cast<std::byte*>(memory_.data()), DType::f32, shape};
  }
  std::vector<float> memory_;
};

TEST_F(Views, AreRowMajor) {
  const TensorView whole = view({4, 6});

  EXPECT_EQ(whole.count(), 24);
  EXPECT_EQ(whole.bytes(), 96);
  EXPECT_EQ(whole.stride(0), 6);
  EXPECT_TRUE(whole.contiguous());
}

TEST_F(Views, RowsAreContiguousAndColumnsAreNot) {
  const TensorView whole = view({4, 6});

  const TensorView rows = whole.rows(1, 2), columns = whole.columns(2, 3);

  EXPECT_TRUE(rows.contiguous());
  EXPECT_EQ(rows.span<float>().front(), 6.0f);
  EXPECT_FALSE(columns.contiguous());
  EXPECT_EQ(columns.stride(0), 6);
  EXPECT_EQ(columns.as<float>()[columns.stride(0)], 8.0f);
  EXPECT_THROW(columns.span<float>(), Error);
}

TEST_F(Views, RangesAndShapesShareTheMemory) {
  const TensorView range = view({4, 6}).range(5, 12);

  EXPECT_EQ(range.rank, 1);
  EXPECT_EQ(range.reshaped({3, 4}).rows(1, 1).span<float>()[0], 9.0f);
}

TEST_F(Views, RefuseWhatDoesNotFit) {
  EXPECT_THROW(view({4, 6}).rows(3, 2), Error);
  EXPECT_THROW(view({4, 6}).columns(5, 2), Error);
  EXPECT_THROW(view({4, 6}).range(20, 5), Error);
  EXPECT_THROW(view({4, 6}).reshaped({5, 5}), Error);
  EXPECT_THROW(view({4, 6}).as<double>(), Error);
}

TEST_F(Views, OfFourBitsBeginAndEndBetweenBlocks) {
  const TensorView whole(reinterpret_cast<std::byte*>(memory_.data()), DType::i4, {3, 8});

  EXPECT_EQ(whole.bytes(), 12);
  EXPECT_EQ(whole.rows(1, 2).data, whole.data + 4);
  EXPECT_EQ(whole.columns(2, 4).data, whole.data + 1);
  EXPECT_EQ(whole.range(6, 10).data, whole.data + 3);
  EXPECT_EQ(whole.range(6, 10).bytes(), 5);
  EXPECT_THROW(whole.columns(1, 4), Error);
  EXPECT_THROW(whole.columns(2, 3), Error);
  EXPECT_THROW(whole.range(3, 4), Error);
  EXPECT_THROW(whole.range(2, 3), Error);
  EXPECT_THROW(TensorView(whole.data, DType::i4, {4, 5}), Error);
}

TEST_F(Views, WithoutMemoryAreEmpty) {
  EXPECT_TRUE(TensorView().empty());
  EXPECT_TRUE(view({0, 6}).empty());
}

}  // namespace
}  // namespace ferula
