// Meetings of the ranks of a group through shared words: arrive, wait with a time limit, notice the dead, abort.
#pragma once

#include <span>

#include "comm/rank_block.hpp"

namespace ferula {

/// What a meeting with one peer takes tells how their cores lie (measured on Zen 4): 80 to 130 ns where these share a
/// cache, 250 to 350 where they share none, and far more where the ranks are on one core.
struct MeetingTimes {
  double between_caches_s = 170e-9;  // more than this: no cache is shared
  double on_one_core_s = 5e-6;       // as much as this: a core is
};

/// One rank's end. Every wait throws CommError when the group is aborted, when an awaited process has ended, or when it
/// takes longer than the timeout; it then aborts the group, so that the other ranks fail as well.
class GroupChannel {
 public:
  /// `blocks[r]` belongs to rank r; they and what `identity` names stay valid while the channel lives.
  GroupChannel(const GroupIdentity& identity, std::vector<RankBlock*> blocks, const MeetingTimes& times = {});

  /// Returns what was set before.
  std::chrono::milliseconds set_timeout(std::chrono::milliseconds timeout) {
    return std::chrono::milliseconds(timeout_ms_.exchange(timeout.count()));
  }
  RankBlock& block(int rank) { return *blocks_[static_cast<std::size_t>(rank)]; }
  RankBlock& mine() { return block(identity_->rank); }

  /// Lets the others see what this rank wrote, then waits until all ranks have done as much on this lane.
  void meet(Lane lane, std::string_view operation);
  /// How many meetings of collectives there were, modulo 2³².
  std::uint32_t meetings() { return meeting(Lane::collectives); }
  /// Of them, 0 or 1. Who has come to one no longer reads what others wrote for those before it: what is written for a
  /// meeting has two places, which take turns.
  std::size_t parity() { return meetings() % 2; }
  /// Where this rank says what it will do at its next meeting on the lane of collectives.
  Announcement& next_announcement();
  /// What `rank` said when it came to the last meeting of this rank; it stays until this rank comes to the next one.
  Announcement& announcement(int rank);
  /// Fails unless `rank` announced the same call as this rank.
  void check_call_of(int rank);
  /// The two halves of a meeting of collectives whose operands travel with what is announced: the others see both at
  /// once.
  void announce(std::string_view operation, std::int64_t data_bytes);
  void await_announcement(int rank, std::string_view operation);
  /// Whether the ranks' cores share no cache, as far as a few meetings showed it lately.
  bool are_ranks_far() const { return are_ranks_far_; }
  /// Meets a few times to see that, once in a while: after some MiB of what passes between the ranks, of which `bytes`
  /// are new. All ranks call it alike; the parity of meetings stays.
  void look_how_far(std::string_view operation, std::int64_t bytes);
  /// Waits until a peer rings this rank's doorbell after it stood at `seen`. `awaited`: ranks that are due to ring.
  void await_doorbell(std::uint32_t seen, std::span<const int> awaited, std::string_view operation);

  /// Waits until no peer is on a Visit. After an abort none begins anew.
  void await_visitors();

  void abort(std::string_view reason);
  void throw_if_aborted(std::string_view operation);
  /// Aborts the group and throws CommError.
  [[noreturn]] void fail(std::string_view operation, std::string_view what);

 private:
  void arrive(Lane lane, std::string_view operation);
  void ring_arrival(Lane lane);
  void await_arrival(Lane lane, int rank, std::string_view operation);
  std::uint32_t& meeting(Lane lane) { return meetings_[static_cast<std::size_t>(lane)]; }
  template <class Ready>
  void await(Bell& bell, Ready ready, std::span<const int> awaited, std::string_view operation);
  void check_alive(int rank, std::string_view operation);
  std::string names_of(std::span<const int> ranks) const;

  const GroupIdentity* identity_;
  std::vector<RankBlock*> blocks_;
  std::array<std::uint32_t, 2> meetings_{};  // by Lane
  std::atomic<std::int64_t> timeout_ms_{0};
  MeetingTimes times_;
  bool are_ranks_far_ = false;
  std::int64_t bytes_unlooked_;  // that passed since the last look
};

/// While it lives, this rank is at work on memory of its peers, which they keep also where they have given up.
class Visit {
 public:
  /// Throws AbortedError where the group is aborted: a peer may have left.
  Visit(GroupChannel& channel, std::string_view operation);
  ~Visit() { mine_->visits.fetch_sub(1); }
  Visit(const Visit&) = delete;
  Visit& operator=(const Visit&) = delete;

 private:
  RankBlock* mine_;
};

/// False once the process has ended, also while its parent has not yet collected it.
bool is_process_alive(int process);

}  // namespace ferula
