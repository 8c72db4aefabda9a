// What large pieces that were freed leave behind in this process.
#include "base/heap.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "support/process_state.hpp"

namespace ferula {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kHeapIsGlibcs = false;  // a sanitizer keeps what is freed, to find late uses
#else
constexpr bool kHeapIsGlibcs = true;
#endif

TEST(Heap, FreedPiecesGoBackToTheSystemWhateverWasAllocatedBetween) {
  if (!kHeapIsGlibcs) GTEST_SKIP() << "another heap";
  return_large_pieces_at_once();
  std::vector<std::unique_ptr<char>> kept;
  const std::int64_t before = test::process_state().resident_bytes;

  for (const std::size_t bytes : {std::size_t{9} << 20, std::size_t{1} << 20}) {
    for (int round = 0; round < 20; ++round) {
      const std::vector<char> passing(bytes, 'x');
      kept.push_back(std::make_unique<char>(passing[static_cast<std::size_t>(round)]));  // would pin a grown heap
    }
  }

  EXPECT_LE(test::process_state().resident_bytes - before, 512 << 10);
}

}  // namespace
}  // namespace ferula
