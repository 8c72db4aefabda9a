// Transfers of MPI with a time limit, and the line on which ranks tell each other to give up. Included by mpi_*.cpp
// only.
#pragma once

#include <atomic>
#include <chrono>
#include <mutex>
#include <vector>

#include "comm/group_identity.hpp"
#include "comm/mpi_handles.hpp"

namespace ferula {

enum class MpiTag : int { collective = 1, message = 2, abort = 3 };

/// One rank's end of the communicator of a group.
class MpiLine {
 public:
  MpiLine(const GroupIdentity& identity, MpiComm comm, std::int64_t message_limit_bytes);
  /// A line that has failed keeps its communicator, because freeing one needs all ranks.
  ~MpiLine();
  MpiLine(const MpiLine&) = delete;
  MpiLine& operator=(const MpiLine&) = delete;

  /// Returns what was set before.
  std::chrono::milliseconds set_timeout(std::chrono::milliseconds timeout) {
    return std::chrono::milliseconds(timeout_ms_.exchange(timeout.count()));
  }
  /// Tells all ranks of the group.
  void abort(std::string_view reason);
  void throw_if_aborted(std::string_view operation);
  /// Aborts the group and throws CommError.
  [[noreturn]] void fail(std::string_view operation, std::string_view what);

  MPI_Comm comm() const { return comm_.get(); }
  const GroupIdentity& identity() const { return *identity_; }
  std::int64_t message_limit_bytes() const { return message_limit_bytes_; }
  std::chrono::milliseconds timeout() const { return std::chrono::milliseconds(timeout_ms_.load()); }

 private:
  const GroupIdentity* identity_;
  MpiComm comm_;
  std::int64_t message_limit_bytes_;
  std::atomic<std::int64_t> timeout_ms_{0};
  std::mutex mutex_;  // an abort may come from another thread than the stream's
  bool failed_ = false;
  std::string abort_text_;  // being sent, or received
};

/// Transfers that progress together. Views stay valid until `wait` returns.
class MpiRequests {
 public:
  MpiRequests(MpiLine& line, std::string_view operation) : line_(&line), operation_(operation) {}
  /// After an error, what still waits is cancelled.
  ~MpiRequests();
  MpiRequests(const MpiRequests&) = delete;
  MpiRequests& operator=(const MpiRequests&) = delete;

  void send(const TensorView& data, int to, MpiTag tag);
  void receive(const TensorView& data, int from, MpiTag tag);
  /// Blocks until all is done; throws CommError on an error of MPI, an abort, or after the timeout.
  void wait();

 private:
  template <class Start>
  void start_pieces(const TensorView& data, int peer, Start start);
  bool all_done();
  std::string names_of_missing() const;

  MpiLine* line_;
  std::string operation_;
  std::vector<MPI_Request> requests_;
  std::vector<int> peers_;
};

}  // namespace ferula
