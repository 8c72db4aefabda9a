#include "comm/mpi_requests.hpp"

#include <algorithm>
#include <thread>

#include "base/narrow.hpp"
#include "comm/aborted_error.hpp"

namespace ferula {
namespace {

constexpr int kSpins = 20;    // polls before the core is offered to others
constexpr int kYields = 200;  // polls before sleeping
constexpr auto kSleep = std::chrono::microseconds(100);
constexpr int kPollsPerCheck = 32;  // polls between looks at the clock and at the line of aborts
constexpr int kProbes = 3;          // a probe that finds nothing lets MPI take in what has arrived
constexpr std::size_t kAbortBytes = 512;

void pause_after(int polls) {
  if (polls < kSpins) return;
  if (polls < kYields) {
    std::this_thread::yield();
  } else {
    std::this_thread::sleep_for(kSleep);
  }
}

}  // namespace

MpiLine::MpiLine(const GroupIdentity& identity, MpiComm comm, std::int64_t message_limit_bytes)
    : identity_(&identity), comm_(std::move(comm)), message_limit_bytes_(message_limit_bytes) {
  check_mpi(MPI_Comm_set_errhandler(comm_.get(), MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
}

MpiLine::~MpiLine() {
  if (failed_) comm_.release();
}

void MpiLine::abort(std::string_view reason) {
  const std::lock_guard lock(mutex_);
  if (failed_) return;
  failed_ = true;
  abort_text_ = reason;
  abort_text_.resize(std::min(abort_text_.size(), kAbortBytes));
  for (int peer = 0; peer < identity_->size(); ++peer) {
    if (peer == identity_->rank) continue;
    MPI_Request request = MPI_REQUEST_NULL;
    const int code = MPI_Isend(abort_text_.data(), static_cast<int>(abort_text_.size()), MPI_CHAR, peer,
                               static_cast<int>(MpiTag::abort), comm_.get(), &request);
    if (code == MPI_SUCCESS) MPI_Request_free(&request);  // a dead peer never takes it
  }
}

void MpiLine::throw_if_aborted(std::string_view operation) {
  const std::lock_guard lock(mutex_);
  if (failed_) throw AbortedError(failure_of(*identity_, operation, "the group was aborted: " + abort_text_));
  int found = 0;
  MPI_Status status;
  for (int probe = 0; found == 0 && probe < kProbes; ++probe)
    check_mpi(MPI_Iprobe(MPI_ANY_SOURCE, static_cast<int>(MpiTag::abort), comm_.get(), &found, &status), "MPI_Iprobe");
  if (found == 0) return;
  std::string text(kAbortBytes, ' ');
  check_mpi(MPI_Recv(text.data(), static_cast<int>(text.size()), MPI_CHAR, status.MPI_SOURCE,
                     static_cast<int>(MpiTag::abort), comm_.get(), &status),
            "MPI_Recv");
  int length = 0;
  MPI_Get_count(&status, MPI_CHAR, &length);
  text.resize(static_cast<std::size_t>(length));
  abort_text_ = fmt::format("{} gave up: {}", describe(*identity_, status.MPI_SOURCE), text);
  failed_ = true;
  throw AbortedError(failure_of(*identity_, operation, abort_text_));
}

void MpiLine::fail(std::string_view operation, std::string_view what) {
  abort(what);
  throw CommError(failure_of(*identity_, operation, what));
}

MpiRequests::~MpiRequests() {
  for (MPI_Request& request : requests_) {
    if (request == MPI_REQUEST_NULL) continue;
    MPI_Cancel(&request);
    MPI_Request_free(&request);
  }
}

template <class Start>
void MpiRequests::start_pieces(const TensorView& data, int peer, Start start) {
  const std::int64_t limit = line_->message_limit_bytes();
  for (std::int64_t begin = 0; begin < data.bytes(); begin += limit) {
    const int length = narrow<int>(std::min(limit, data.bytes() - begin));
    requests_.push_back(MPI_REQUEST_NULL);
    peers_.push_back(peer);
    const int code = start(data.data + begin, length, &requests_.back());
    if (code != MPI_SUCCESS) line_->fail(operation_, mpi_error_text(code));
  }
}

void MpiRequests::send(const TensorView& data, int to, MpiTag tag) {
  start_pieces(data, to, [&](std::byte* bytes, int length, MPI_Request* request) {
    return MPI_Isend(bytes, length, MPI_BYTE, to, static_cast<int>(tag), line_->comm(), request);
  });
}

void MpiRequests::receive(const TensorView& data, int from, MpiTag tag) {
  start_pieces(data, from, [&](std::byte* bytes, int length, MPI_Request* request) {
    return MPI_Irecv(bytes, length, MPI_BYTE, from, static_cast<int>(tag), line_->comm(), request);
  });
}

void MpiRequests::wait() {
  const auto start = std::chrono::steady_clock::now();
  for (int polls = 0; !all_done(); ++polls) {
    pause_after(polls);
    if (polls % kPollsPerCheck != 0) continue;
    line_->throw_if_aborted(operation_);
    const auto limit = line_->timeout();
    if (limit.count() > 0 && std::chrono::steady_clock::now() - start > limit)
      line_->fail(operation_, fmt::format("waited {:.1f} s for {}, which did not come; look at its log, or raise the "
                                          "timeout where it is only slow",
                                          std::chrono::duration<double>(limit).count(), names_of_missing()));
  }
  requests_.clear();
  peers_.clear();
}

bool MpiRequests::all_done() {
  int done = 0;
  const int code = MPI_Testall(narrow<int>(static_cast<std::int64_t>(requests_.size())), requests_.data(), &done,
                               MPI_STATUSES_IGNORE);
  if (code != MPI_SUCCESS) line_->fail(operation_, mpi_error_text(code));
  return done != 0;
}

std::string MpiRequests::names_of_missing() const {
  std::vector<int> missing;
  for (std::size_t index = 0; index < requests_.size(); ++index) {
    int done = 0;
    MPI_Request_get_status(requests_[index], &done, MPI_STATUS_IGNORE);
    if (done == 0) missing.push_back(peers_[index]);
  }
  std::sort(missing.begin(), missing.end());
  missing.erase(std::unique(missing.begin(), missing.end()), missing.end());
  std::string names;
  for (const int peer : missing) names += (names.empty() ? "" : ", ") + describe(line_->identity(), peer);
  return names;
}

}  // namespace ferula
