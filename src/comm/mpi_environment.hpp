// The life of MPI in this process.
#pragma once

#include <string>
#include <vector>

namespace ferula {

/// The MPI library that this process runs with: "Open MPI v4.1.4, package: …". Works before MPI is initialised.
std::string mpi_library();

/// Initialises MPI with full thread support and lets errors return; finalises at its end. One a process. A process that
/// no launcher started is a world of one rank. When an exception passes through its scope MPI is left as it is, because
/// peers may be dead: the process should then end through `abort`, or simply exit, upon which the launcher ends the
/// other ranks.
class MpiEnvironment {
 public:
  /// Throws CommError where MPI was initialised before or lacks MPI_THREAD_MULTIPLE.
  MpiEnvironment();
  ~MpiEnvironment();
  MpiEnvironment(const MpiEnvironment&) = delete;
  MpiEnvironment& operator=(const MpiEnvironment&) = delete;

  int rank() const { return rank_; }
  int size() const { return size_; }
  /// Ends all ranks of the job at once.
  [[noreturn]] void abort(int exit_code) const;

 private:
  int rank_ = 0;
  int size_ = 1;
  int exceptions_at_start_ = 0;
  std::vector<std::string> segments_;  // of MPI's shared memory, without names while it runs
};

}  // namespace ferula
