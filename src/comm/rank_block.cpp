#include "comm/rank_block.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <ctime>

namespace ferula {
namespace {

constexpr long kSliceNanoseconds = 20'000'000;
constexpr std::uint32_t kAbortWriting = 1;
constexpr std::uint32_t kAbortReady = 2;

}  // namespace

void Bell::ring() {
  value.fetch_add(1);
  if (sleepers.load() != 0) syscall(SYS_futex, &value, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

void Bell::sleep_while(std::uint32_t seen) {
  const timespec slice{0, kSliceNanoseconds};
  sleepers.fetch_add(1);
  if (value.load() == seen) syscall(SYS_futex, &value, FUTEX_WAIT, seen, &slice, nullptr, 0);
  sleepers.fetch_sub(1);
}

void raise_abort(RankBlock& block, std::string_view reason) {
  std::uint32_t none = 0;
  if (!block.abort_state.compare_exchange_strong(none, kAbortWriting)) return;
  const std::size_t length = std::min(reason.size(), block.abort_reason.size() - 1);
  std::copy_n(reason.begin(), length, block.abort_reason.begin());
  block.abort_reason[length] = '\0';
  block.abort_state.store(kAbortReady);
}

bool is_aborted(const RankBlock& block) { return block.abort_state.load() == kAbortReady; }

}  // namespace ferula
