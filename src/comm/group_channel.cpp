#include "comm/group_channel.hpp"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <thread>

#include "base/ticks.hpp"
#include "comm/aborted_error.hpp"

namespace ferula {
namespace {

// Who is about to come is met soonest by looking; a sleeper is back only some 10 us after it was woken (measured on a
// virtual machine). After a few looks the core is offered to others, since ranks and their streams may share cores.
constexpr int kLooks = 100;
constexpr std::chrono::microseconds kPatience(50);

// How far the ranks are is looked at anew each time so many bytes have passed, since processors of virtual machines
// move: by 24 meetings, which take as long as 100 KiB.
constexpr std::int64_t kBytesALook = 4 << 20;

#if defined(__x86_64__)
void pause_briefly() { __builtin_ia32_pause(); }
/// Lets the processor take the line from the caches of others meanwhile; those that cannot do nothing.
[[gnu::target("prfchw")]] void prepare_to_write(void* line) { __builtin_prefetch(line, 1); }
#else
void pause_briefly() {}
void prepare_to_write(void*) {}
#endif

}  // namespace

bool is_process_alive(int process) {
  if (kill(process, 0) != 0 && errno == ESRCH) return false;
  std::ifstream file(fmt::format("/proc/{}/stat", process));
  std::string line;
  if (!std::getline(file, line)) return false;
  const std::size_t name_end = line.rfind(')');
  const char state = name_end + 2 < line.size() ? line[name_end + 2] : 'R';
  return state != 'Z' && state != 'X';
}

GroupChannel::GroupChannel(const GroupIdentity& identity, std::vector<RankBlock*> blocks, const MeetingTimes& times)
    : identity_(&identity), blocks_(std::move(blocks)), times_(times), bytes_unlooked_(kBytesALook) {}

void GroupChannel::meet(Lane lane, std::string_view operation) {
  arrive(lane, operation);
  for (int rank = 0; rank < identity_->size(); ++rank) await_arrival(lane, rank, operation);
}

void GroupChannel::arrive(Lane lane, std::string_view operation) {
  throw_if_aborted(operation);
  ring_arrival(lane);
}

void GroupChannel::ring_arrival(Lane lane) {
  ++meeting(lane);
  mine().arrivals[static_cast<std::size_t>(lane)].ring();
}

void GroupChannel::await_arrival(Lane lane, int rank, std::string_view operation) {
  const auto arrived = [last = meeting(lane)](std::uint32_t value) {
    return static_cast<std::int32_t>(value - last) >= 0;
  };
  await(block(rank).arrivals[static_cast<std::size_t>(lane)], arrived, {&rank, 1}, operation);
}

void GroupChannel::announce(std::string_view operation, std::int64_t data_bytes) {
  throw_if_aborted(operation);  // before the others see it come, who would take the collective for complete
  next_announcement().meeting.store(meeting(Lane::collectives) + 1, std::memory_order_release);
  ring_arrival(Lane::collectives);
  // as much again of the next one: those who read it are past it, or soon will be
  auto* const next = reinterpret_cast<std::byte*>(&next_announcement());
  for (std::int64_t at = 0; at < data_bytes + kLineBytes; at += kLineBytes) prepare_to_write(next + at);
}

void GroupChannel::await_announcement(int rank, std::string_view operation) {
  for (int look = 0; look < kLooks; ++look) {
    if (announcement(rank).meeting.load() == meeting(Lane::collectives)) return;
    pause_briefly();
  }
  await_arrival(Lane::collectives, rank, operation);
}

void GroupChannel::look_how_far(std::string_view operation, std::int64_t bytes) {
  bytes_unlooked_ += bytes;
  if (bytes_unlooked_ < kBytesALook) return;
  bytes_unlooked_ = 0;
  // Meetings follow each other at the pace of the slowest word, but a single one may find all others there. The fastest
  // few count; an even number, so that what was written for the meeting before stays where it is looked for.
  constexpr int kTrials = 3, kMeetings = 8;
  double fastest = times_.on_one_core_s;
  for (int trial = 0; trial < kTrials; ++trial) {
    const std::int64_t begin = ticks_now();
    for (int count = 0; count < kMeetings; ++count) meet(Lane::collectives, operation);
    fastest = std::min(fastest, seconds_of_ticks(ticks_now() - begin) / kMeetings / (identity_->size() - 1));
  }
  are_ranks_far_ = fastest > times_.between_caches_s && fastest < times_.on_one_core_s;
}

Announcement& GroupChannel::next_announcement() { return mine().announcements[1 - parity()]; }

Announcement& GroupChannel::announcement(int rank) { return block(rank).announcements[parity()]; }

void GroupChannel::check_call_of(int rank) {
  const CollectiveCall& own = announcement(identity_->rank).call;
  const CollectiveCall& found = announcement(rank).call;
  if (found == own) return;
  const int first = std::min(rank, identity_->rank), second = std::max(rank, identity_->rank);
  fail(name_of(own.kind),
       fmt::format("all ranks make the same calls in the same order, but {} called {} and {} called {}",
                   describe(*identity_, first), describe(announcement(first).call), describe(*identity_, second),
                   describe(announcement(second).call)));
}

void GroupChannel::await_doorbell(std::uint32_t seen, std::span<const int> awaited, std::string_view operation) {
  await(
      mine().doorbell, [seen](std::uint32_t value) { return value != seen; }, awaited, operation);
}

template <class Ready>
void GroupChannel::await(Bell& bell, Ready ready, std::span<const int> awaited, std::string_view operation) {
  for (int look = 0; look < kLooks; ++look) {
    if (ready(bell.value.load())) return;
    pause_briefly();
  }
  const std::chrono::milliseconds timeout(timeout_ms_.load());
  const auto start = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() - start < kPatience) {
    if (ready(bell.value.load())) return;
    std::this_thread::yield();
  }
  while (true) {
    const std::uint32_t value = bell.value.load();
    if (ready(value)) return;
    throw_if_aborted(operation);
    bell.sleep_while(value);
    if (bell.value.load() != value) continue;
    for (const int rank : awaited) {
      if (!ready(bell.value.load())) check_alive(rank, operation);
    }
    if (timeout.count() > 0 && std::chrono::steady_clock::now() - start > timeout)
      fail(operation, fmt::format("waited {:.1f} s for {}, which did not come; look at its log, or raise the timeout "
                                  "where it is only slow",
                                  std::chrono::duration<double>(timeout).count(), names_of(awaited)));
  }
}

void GroupChannel::check_alive(int rank, std::string_view operation) {
  const GroupMember& member = identity_->members[static_cast<std::size_t>(rank)];
  if (member.process == 0 || is_process_alive(member.process)) return;
  fail(operation, fmt::format("{}, process {}, has ended, perhaps killed for memory; run the same command to go on "
                              "from the last checkpoint",
                              describe(*identity_, rank), member.process));
}

std::string GroupChannel::names_of(std::span<const int> ranks) const {
  std::string names;
  for (const int rank : ranks) names += (names.empty() ? "" : ", ") + describe(*identity_, rank);
  return names;
}

void GroupChannel::await_visitors() {
  for (const RankBlock* block : blocks_)
    while (block->visits.load() != 0) std::this_thread::yield();
}

Visit::Visit(GroupChannel& channel, std::string_view operation) : mine_(&channel.mine()) {
  mine_->visits.fetch_add(1);  // before it looks: who gave up before that is seen here, who does later sees this visit
  try {
    channel.throw_if_aborted(operation);
  } catch (...) {
    mine_->visits.fetch_sub(1);
    throw;
  }
}

void GroupChannel::abort(std::string_view reason) {
  raise_abort(mine(), fmt::format("{} gave up: {}", describe(*identity_, identity_->rank), reason));
}

void GroupChannel::throw_if_aborted(std::string_view operation) {
  for (const RankBlock* block : blocks_) {
    if (!is_aborted(*block)) continue;
    throw AbortedError(failure_of(*identity_, operation, block->abort_reason.data()));
  }
}

void GroupChannel::fail(std::string_view operation, std::string_view what) {
  const std::string message = failure_of(*identity_, operation, what);
  raise_abort(mine(), message);
  throw CommError(message);
}

}  // namespace ferula
