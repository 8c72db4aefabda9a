// What may be done with an NCCL communicator, and when: a plain state machine, without NCCL and without a clock.
#pragma once

#include <chrono>
#include <string>

#include "comm/nccl_api.hpp"

namespace ferula {

/// uninitialised → initialising → ready; from anywhere to failed or aborted, which last. The first reason is kept.
class NcclState {
 public:
  using Clock = std::chrono::steady_clock;
  enum class Phase : std::uint8_t { uninitialised, initialising, ready, failed, aborted };

  /// The communicator was asked for; it must be ready within `timeout`.
  void begin(Clock::time_point now, std::chrono::milliseconds timeout);
  /// What NCCL said of the communicator. A communicator that is ready, and in progress of a call, stays ready.
  void observe(const NcclResult& result, Clock::time_point now);
  void fail(std::string reason);
  void abort(std::string reason);

  Phase phase() const { return phase_; }
  bool is_over() const { return phase_ == Phase::failed || phase_ == Phase::aborted; }
  /// Whether it failed because it was not ready in time.
  bool is_late() const { return late_; }
  /// Why it failed or was aborted, in words; else empty.
  const std::string& reason() const { return reason_; }

 private:
  void end(Phase phase, std::string reason);

  Phase phase_ = Phase::uninitialised;
  Clock::time_point deadline_{};
  std::chrono::milliseconds timeout_{0};
  std::string reason_;
  bool late_ = false;
};

}  // namespace ferula
