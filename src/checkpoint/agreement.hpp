// How all ranks of a group learn that one of them failed, and why.
#pragma once

#include <functional>
#include <string>

#include "comm/communicator.hpp"

namespace ferula {

enum class Severity : std::uint8_t {
  none,
  damage,   // a DamageError: an earlier checkpoint may still be good
  failure,  // anything else
};

struct Outcome {
  Severity severity = Severity::none;
  std::string problem;  // names the rank where the group has several
  bool good() const { return severity == Severity::none; }
};

/// Runs `work`, which communicates with nobody, and turns its error into an outcome.
Outcome outcome_of(const std::function<void()>& work);
/// Called by all ranks of `group`: the worst outcome of all, the same on each. Texts are cut at 1,000 bytes.
Outcome agree(Communicator& group, Stream& stream, const Outcome& mine);

}  // namespace ferula
