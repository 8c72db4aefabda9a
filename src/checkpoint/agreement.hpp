// How all ranks of a group learn that one of them failed, and why.
#pragma once

#include <functional>
#include <string>

#include "base/error.hpp"
#include "comm/communicator.hpp"

namespace ferula {

enum class Severity : std::uint8_t {
  none,
  damage,   // a DamageError: an earlier checkpoint may still be good
  failure,  // anything else
};

struct Outcome {
  Severity severity = Severity::none;
  std::string problem;             // names the rank where not all of the group have it
  ExitCode code = ExitCode::done;  // of the error, for the whole job
  bool good() const { return severity == Severity::none; }
};

/// Runs `work`, which communicates with nobody, and turns its error into an outcome.
Outcome outcome_of(const std::function<void()>& work);
inline constexpr std::size_t kMostTextBytes = 65536;

/// Called by all ranks of `group`: the worst outcome of all, the same on each. Texts are cut at kMostTextBytes. Waits
/// without a limit: some ranks may have worked on large files while others had nothing to do. One that dies is noticed.
Outcome agree(Communicator& group, Stream& stream, const Outcome& mine);
/// Throws the error that the outcome stands for, with its exit code: DataError, CapacityError or ConfigError; nothing
/// where it is good. Called by all ranks that agreed.
void require(const Outcome& outcome);

}  // namespace ferula
