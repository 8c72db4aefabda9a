// Which signals of the user's the launcher passes on to mpirun, and when.
#pragma once

#include <filesystem>
#include <optional>
#include <utility>

#include "app/command.hpp"

namespace ferula {

/// Seconds that ranks may take to listen once somebody wants them to stop; after that they have nothing to save.
inline constexpr double kStopPatience = 30.0;

/// What the user has asked for so far, and what mpirun has been told of it. Any signal asks to save; only a second
/// Ctrl-C ends a run before it has saved (SLURM sends USR1 and then TERM). Times are seconds since any one moment.
class StopForwarding {
 public:
  /// `report`: where the ranks say that they listen (launch_report.hpp).
  StopForwarding(int ranks, CommandStop stop, std::filesystem::path report)
      : ranks_(ranks), stop_(stop), report_(std::move(report)) {}

  /// Takes a signal of the user's. What mpirun is to be sent for it at once, if anything.
  std::optional<int> accept(int signal, double now_s);
  /// What mpirun is to be sent of an earlier wish to save, if anything; to be asked again and again. SIGUSR1 would kill
  /// a rank that does not handle it yet, so it waits until all do; after kStopPatience the job is ended instead.
  std::optional<int> due(double now_s);

  bool interrupted() const { return interrupted_; }
  /// Whether the job was ended before it had saved.
  bool at_once() const { return at_once_; }

 private:
  int ending_signal();

  int ranks_;
  CommandStop stop_;
  std::filesystem::path report_;
  bool asked_to_save_ = false;
  std::optional<double> pending_since_s_;  // the ranks have not heard of it yet
  bool interrupted_ = false;
  bool at_once_ = false;
};

}  // namespace ferula
