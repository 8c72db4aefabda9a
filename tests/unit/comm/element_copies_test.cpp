// Copies past the caches at every offset within a line, beside memory that they must not touch.
#include "comm/element_copies.hpp"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "base/error.hpp"

namespace ferula {
namespace {

TEST(ElementCopies, StreamsMoveWhatIsAskedAndNothingBeside) {
  constexpr std::int64_t kMargin = 64;
  for (const std::int64_t bytes : {1, 15, 63, 64, 65, 127, 200, 4099})
    for (const std::int64_t source_offset : {0, 1, 16})
      for (const std::int64_t target_offset : {0, 3, 32, 63}) {
        std::vector<std::uint8_t> from(static_cast<std::size_t>(bytes + 2 * kMargin));
        std::iota(from.begin(), from.end(), std::uint8_t{1});
        std::vector<std::uint8_t> to(static_cast<std::size_t>(bytes + 3 * kMargin), 0xee), expected = to;
        std::copy_n(from.begin() + source_offset, bytes, expected.begin() + target_offset + kMargin);

        stream_elements({reinterpret_cast<std::byte*>(from.data() + source_offset), DType::u8, {bytes}},
                        {reinterpret_cast<std::byte*>(to.data() + target_offset + kMargin), DType::u8, {bytes}});

        ASSERT_EQ(to, expected) << bytes << " bytes from " << source_offset << " to " << target_offset;
      }
}

TEST(ElementCopies, NothingMovesWithinTheSameMemoryAndSizesMustAgree) {
  std::vector<std::uint8_t> values{1, 2, 3};
  const TensorView view(reinterpret_cast<std::byte*>(values.data()), DType::u8, {3});

  copy_elements(view, view);
  stream_elements(view, view);

  EXPECT_EQ(values, (std::vector<std::uint8_t>{1, 2, 3}));
  EXPECT_THROW(copy_elements(view, view.range(0, 2)), Error);
  EXPECT_THROW(stream_elements(view, view.range(0, 2)), Error);
}

}  // namespace
}  // namespace ferula
