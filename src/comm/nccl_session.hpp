// One NCCL communicator of one rank with its state, and the watchdog that ends all of a rank's when one fails.
#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "comm/group_identity.hpp"
#include "comm/nccl_state.hpp"

namespace ferula {

/// Owns the communicator. Calls come from the rank's thread; `check` and `abort` also from the watchdog's.
class NcclSession {
 public:
  using Clock = NcclState::Clock;

  /// `api` outlives the session. `identity` is what messages name.
  NcclSession(NcclApi& api, GroupIdentity identity);
  ~NcclSession();
  NcclSession(const NcclSession&) = delete;
  NcclSession& operator=(const NcclSession&) = delete;

  /// How a start went. `late`: no answer in time, mostly the echo of another rank's failure.
  struct Start {
    enum class Outcome : std::uint8_t { ready, failed, late };
    Outcome outcome = Outcome::ready;
    std::string reason;
  };
  /// Blocks until the communicator is ready or not to be had, at most for `timeout`.
  Start start(const NcclId& id, std::chrono::milliseconds timeout);

  /// Makes one call of NCCL, waits until it has accepted it, and watches its work until that is done.
  /// Throws CommError, or AbortedError after `abort`, naming `operation`, rank and host.
  void launch(std::string_view operation, Stream& stream, const std::function<NcclResult(NcclComm)>& call);
  void throw_if_over(std::string_view operation) const;

  /// A collective whose turn on the GPU came longer ago has failed; zero waits for ever.
  /// Returns what was set before.
  std::chrono::milliseconds set_timeout(std::chrono::milliseconds timeout);
  /// Why a group has failed: for its own calls, and for those of the other groups of its rank.
  struct Failure {
    std::string reason;
    std::string told;
  };
  /// The watchdog's look: why the group has failed, if it has; it is then to be aborted.
  std::optional<Failure> check(Clock::time_point now);
  /// Whether work is under way.
  bool is_busy() const;
  /// Ends all work of the group on this rank, now; calls that come later throw, and so does waiting for the streams
  /// whose work it was. `failed`: as CommError.
  enum class Ending : std::uint8_t { failed, aborted };
  void abort(Ending ending, std::string reason);

 private:
  struct Flight {
    std::string operation;
    NcclMark begin = 0;
    NcclMark end = 0;
    std::optional<Clock::time_point> began = {};  // when `begin` was seen reached
  };

  /// All below with `mutex_` held.
  std::string look_at_flights(Clock::time_point now);
  void end_locked(Ending ending, std::string reason);
  [[noreturn]] void throw_locked(std::string_view operation) const;
  std::exception_ptr error_locked(std::string_view operation) const;

  NcclApi* api_;
  GroupIdentity identity_;
  mutable std::mutex mutex_;
  NcclState state_;
  NcclComm comm_ = nullptr;
  std::chrono::milliseconds timeout_{0};
  std::deque<Flight> flights_;
};

/// A thread that looks after the sessions of one rank: an asynchronous error or a late collective of one ends them all,
/// so that no stream waits for ever. Sessions leave before they die.
class NcclWatch {
 public:
  NcclWatch();
  ~NcclWatch();
  void join(NcclSession& session);
  void leave(NcclSession& session);
  /// A session has work under way.
  void wake();
  void abort_all(NcclSession::Ending ending, const std::string& reason);

 private:
  void work();
  /// The failed one last: it frees its stream, and whoever waits for that must find all groups at their end.
  void end_all(NcclSession& failed, const NcclSession::Failure& failure);

  std::mutex mutex_;
  std::condition_variable woken_;
  std::vector<NcclSession*> sessions_;
  bool awake_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace ferula
