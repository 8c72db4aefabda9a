#include "comm/nccl_session.hpp"

#include <algorithm>
#include <utility>

#include "comm/aborted_error.hpp"

namespace ferula {
namespace {

using Status = NcclResult::Status;

constexpr std::chrono::milliseconds kPoll{1};  // while a call waits to be accepted
constexpr std::chrono::milliseconds kWatchPeriod{20};

constexpr std::string_view kRemedy =
    "NCCL_DEBUG=INFO tells more; NCCL_SOCKET_IFNAME names the network that the ranks share";

}  // namespace

NcclSession::NcclSession(NcclApi& api, GroupIdentity identity) : api_(&api), identity_(std::move(identity)) {}

NcclSession::~NcclSession() {
  const std::lock_guard lock(mutex_);
  for (const Flight& flight : flights_) {
    api_->forget(flight.begin);
    api_->forget(flight.end);
  }
  if (comm_ != nullptr) api_->destroy(comm_);
}

NcclSession::Start NcclSession::start(const NcclId& id, std::chrono::milliseconds timeout) {
  std::unique_lock lock(mutex_);
  state_.begin(Clock::now(), timeout);
  NcclResult result = api_->begin(comm_, id, identity_.rank, identity_.size());
  if (result.status == Status::success) result = api_->poll(comm_);  // it may only have been accepted
  for (;;) {
    state_.observe(result, Clock::now());
    if (state_.phase() != NcclState::Phase::initialising) break;
    lock.unlock();
    std::this_thread::sleep_for(kPoll);
    lock.lock();
    if (state_.is_over()) break;
    result = api_->poll(comm_);
  }
  if (!state_.is_over()) return {};
  end_locked(Ending::failed, "");
  return {state_.is_late() ? Start::Outcome::late : Start::Outcome::failed, state_.reason()};
}

void NcclSession::launch(std::string_view operation, Stream& stream, const std::function<NcclResult(NcclComm)>& call) {
  api_->settle(stream);  // which may wait for a collective that never ends: without the lock that its end needs
  Flight flight{.operation = std::string(operation), .begin = api_->mark(stream)};
  std::unique_lock lock(mutex_);
  if (state_.is_over()) {
    api_->forget(flight.begin);
    throw_locked(operation);
  }
  FERULA_CHECK(state_.phase() == NcclState::Phase::ready, "{} before the group is ready", operation);
  NcclResult result = call(comm_);
  const Clock::time_point asked = Clock::now();
  while (result.status == Status::in_progress) {
    lock.unlock();
    std::this_thread::yield();
    lock.lock();
    if (state_.is_over()) break;
    result = api_->poll(comm_);
    if (timeout_.count() > 0 && Clock::now() - asked > timeout_)
      result = {Status::failed, fmt::format("the call was not accepted within {} ms", timeout_.count())};
  }
  state_.observe(result, Clock::now());
  if (state_.is_over()) {
    api_->forget(flight.begin);
    end_locked(Ending::failed, "");
    throw_locked(operation);
  }
  flight.end = api_->mark(stream);
  flights_.push_back(std::move(flight));
}

void NcclSession::throw_if_over(std::string_view operation) const {
  const std::lock_guard lock(mutex_);
  if (state_.is_over()) throw_locked(operation);
}

std::chrono::milliseconds NcclSession::set_timeout(std::chrono::milliseconds timeout) {
  const std::lock_guard lock(mutex_);
  return std::exchange(timeout_, timeout);
}

bool NcclSession::is_busy() const {
  const std::lock_guard lock(mutex_);
  return !flights_.empty() && !state_.is_over();
}

std::optional<NcclSession::Failure> NcclSession::check(Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  if (state_.phase() != NcclState::Phase::ready || flights_.empty()) return std::nullopt;
  const std::string operation = flights_.front().operation;
  std::string reason = look_at_flights(now);
  if (const NcclResult result = api_->poll(comm_); reason.empty() && result.status == Status::failed)
    reason = fmt::format("{} failed on the GPU: NCCL says: {}", operation, result.words);
  if (reason.empty()) return std::nullopt;
  return Failure{.reason = reason, .told = failure_of(identity_, operation, reason)};
}

void NcclSession::abort(Ending ending, std::string reason) {
  const std::lock_guard lock(mutex_);
  end_locked(ending, std::move(reason));
}

std::string NcclSession::look_at_flights(Clock::time_point now) {
  std::erase_if(flights_, [&](const Flight& flight) {
    if (!api_->is_reached(flight.end)) return false;
    api_->forget(flight.begin);
    api_->forget(flight.end);
    return true;
  });
  for (Flight& flight : flights_) {
    if (!flight.began && api_->is_reached(flight.begin)) flight.began = now;
    if (flight.began && timeout_.count() > 0 && now - *flight.began > timeout_)
      return fmt::format(
          "{} has waited for more than {} ms for its peers: one of them has ended or does something else",
          flight.operation, timeout_.count());
  }
  return {};
}

void NcclSession::end_locked(Ending ending, std::string reason) {
  if (ending == Ending::failed) {
    state_.fail(std::move(reason));
  } else {
    state_.abort(std::move(reason));
  }
  if (comm_ == nullptr) return;
  for (const Flight& flight : flights_) api_->fail(flight.end, error_locked(flight.operation));
  api_->abort(std::exchange(comm_, nullptr));
}

std::exception_ptr NcclSession::error_locked(std::string_view operation) const {
  try {
    throw_locked(operation);
  } catch (...) {
    return std::current_exception();
  }
}

void NcclSession::throw_locked(std::string_view operation) const {
  if (state_.phase() == NcclState::Phase::aborted)
    throw AbortedError(failure_of(identity_, operation, fmt::format("aborted: {}", state_.reason())));
  throw CommError(failure_of(identity_, operation, fmt::format("{} ({}). {}", state_.reason(), api_->gpu(), kRemedy)));
}

NcclWatch::NcclWatch() : thread_([this] { work(); }) {}

NcclWatch::~NcclWatch() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  woken_.notify_all();
  thread_.join();
}

void NcclWatch::join(NcclSession& session) {
  const std::lock_guard lock(mutex_);
  sessions_.push_back(&session);
}

void NcclWatch::leave(NcclSession& session) {
  const std::lock_guard lock(mutex_);
  std::erase(sessions_, &session);
}

void NcclWatch::wake() {
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(awake_, true)) return;
  }
  woken_.notify_all();
}

void NcclWatch::abort_all(NcclSession::Ending ending, const std::string& reason) {
  const std::lock_guard lock(mutex_);
  for (NcclSession* session : sessions_) session->abort(ending, reason);
}

void NcclWatch::end_all(NcclSession& failed, const NcclSession::Failure& failure) {
  for (NcclSession* session : sessions_)
    if (session != &failed) session->abort(NcclSession::Ending::failed, failure.told);
  failed.abort(NcclSession::Ending::failed, failure.reason);
}

void NcclWatch::work() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    woken_.wait(lock, [&] { return stopping_ || awake_; });
    NcclSession* failed = nullptr;
    std::optional<NcclSession::Failure> failure;
    bool busy = false;
    for (NcclSession* session : sessions_) {
      if (!failure && (failure = session->check(NcclSession::Clock::now()))) failed = session;
      busy = busy || session->is_busy();
    }
    if (failure) end_all(*failed, *failure);
    awake_ = busy;
    woken_.wait_for(lock, kWatchPeriod, [&] { return stopping_; });
  }
}

}  // namespace ferula
