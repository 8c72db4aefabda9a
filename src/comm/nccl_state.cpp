#include "comm/nccl_state.hpp"

#include <utility>

namespace ferula {

void NcclState::begin(Clock::time_point now, std::chrono::milliseconds timeout) {
  FERULA_CHECK(phase_ == Phase::uninitialised, "a communicator of NCCL is initialised once");
  phase_ = Phase::initialising;
  timeout_ = timeout;
  deadline_ = now + timeout;
}

void NcclState::observe(const NcclResult& result, Clock::time_point now) {
  if (is_over()) return;
  FERULA_CHECK(phase_ != Phase::uninitialised, "a communicator of NCCL is initialised before it is used");
  switch (result.status) {
    case NcclResult::Status::failed:
      return fail(fmt::format("NCCL says: {}", result.words));
    case NcclResult::Status::success:
      phase_ = Phase::ready;
      return;
    case NcclResult::Status::in_progress:
      if (phase_ != Phase::initialising || now < deadline_) return;
      late_ = true;
      fail(fmt::format("NCCL had not connected the ranks after {} s: one of them is late or cannot be reached",
                       std::chrono::duration<double>(timeout_).count()));
  }
}

void NcclState::fail(std::string reason) { end(Phase::failed, std::move(reason)); }

void NcclState::abort(std::string reason) { end(Phase::aborted, std::move(reason)); }

void NcclState::end(Phase phase, std::string reason) {
  if (is_over()) return;
  phase_ = phase;
  reason_ = std::move(reason);
}

}  // namespace ferula
