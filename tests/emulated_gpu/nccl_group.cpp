#include "nccl_group.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <system_error>
#include <thread>

namespace ferula::emulated {
namespace {

constexpr std::chrono::microseconds kPause{50};

Shared* map_shared(const std::string& name) {
  const int file = shm_open(name.c_str(), O_RDWR | O_CREAT, 0600);
  if (file < 0) throw std::system_error(errno, std::generic_category(), "shm_open " + name);
  void* memory = MAP_FAILED;
  if (ftruncate(file, sizeof(Shared)) == 0)
    memory = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  const int error = errno;
  close(file);
  if (memory == MAP_FAILED) throw std::system_error(error, std::generic_category(), "shared memory " + name);
  return static_cast<Shared*>(memory);
}

}  // namespace

Group::Group(const std::string& name, int rank, int ranks) : shared_(map_shared(name)), rank_(rank), ranks_(ranks) {
  shared_->members[static_cast<std::size_t>(rank)].process = getpid();
  if (++shared_->joined == ranks) shm_unlink(name.c_str());
}

template <class Condition>
bool Group::await(Condition condition) {
  while (!condition()) {
    if (aborted_) return false;
    std::this_thread::sleep_for(kPause);
  }
  return true;
}

bool Group::fail(const std::string& problem) {
  if (failed_) return false;  // the first is told
  problem_ = problem;
  failed_ = true;
  return false;
}

bool Group::read(int from, const void* data, std::size_t bytes, std::byte* to) {
  const iovec here{to, bytes}, there{const_cast<void*>(data), bytes};
  const int process = shared_->members[static_cast<std::size_t>(from)].process;
  if (process == getpid()) {
    std::memcpy(to, data, bytes);
    return true;
  }
  if (process_vm_readv(process, &here, 1, &there, 1, 0) == static_cast<ssize_t>(bytes)) return true;
  return fail("remote process exited or there was a network error (" + std::string(std::strerror(errno)) + ")");
}

bool Group::gather(std::uint64_t number, const Offer& mine, std::size_t from, std::size_t bytes,
                   std::vector<std::vector<std::byte>>& taken) {
  Shared::Member& me = shared_->members[static_cast<std::size_t>(rank_)];
  me.offer = mine;
  me.offered = number;
  taken.assign(static_cast<std::size_t>(ranks_), std::vector<std::byte>(bytes));
  for (int rank = 0; rank < ranks_; ++rank) {
    const Shared::Member& other = shared_->members[static_cast<std::size_t>(rank)];
    if (!await([&] { return other.offered >= number; })) return false;
    if (other.offer.kind != mine.kind || (other.offer.bytes != 0 && other.offer.bytes < from + bytes))
      return fail("ranks are in different operations");
    if (other.offer.bytes == 0) continue;  // it only takes
    const auto* begin = static_cast<const std::byte*>(other.offer.data) + from;
    if (!read(rank, begin, bytes, taken[static_cast<std::size_t>(rank)].data())) return false;
  }
  me.finished = number;
  return std::all_of(shared_->members.begin(), shared_->members.begin() + ranks_,
                     [&](const Shared::Member& other) { return await([&] { return other.finished >= number; }); });
}

Group::Step Group::advance(const Message& message, std::vector<std::byte>& received) {
  const auto me = static_cast<std::size_t>(rank_), peer = static_cast<std::size_t>(message.peer);
  Shared::Mail& mail = message.is_send ? shared_->mail[me][peer] : shared_->mail[peer][me];
  if (message.is_send) {
    if (mail.offered < message.number && mail.taken + 1 >= message.number) {  // the one before is through
      mail.offer = {message.data, message.bytes, 0};
      mail.offered = message.number;
    }
    return mail.taken >= message.number ? Step::done : Step::waits;
  }
  if (mail.offered < message.number) return Step::waits;
  received.resize(message.bytes);
  const bool fits = mail.offer.bytes == message.bytes || fail("a message of another size");
  if (!fits || !read(message.peer, mail.offer.data, message.bytes, received.data())) return Step::failed;
  mail.taken = message.number;
  return Step::done;
}

bool Group::exchange(const std::vector<Message>& messages) {
  std::vector<std::vector<std::byte>> received(messages.size());
  std::vector<Step> steps(messages.size(), Step::waits);
  const auto is = [](Step wanted) { return [=](Step step) { return step == wanted; }; };
  const bool over = await([&] {
    for (std::size_t index = 0; index < messages.size(); ++index)
      if (steps[index] == Step::waits) steps[index] = advance(messages[index], received[index]);
    return std::ranges::all_of(steps, is(Step::done)) || std::ranges::any_of(steps, is(Step::failed));
  });
  if (!over || !std::ranges::all_of(steps, is(Step::done))) return false;
  for (std::size_t index = 0; index < messages.size(); ++index)
    if (!messages[index].is_send) std::memcpy(messages[index].data, received[index].data(), received[index].size());
  return true;
}

bool Group::all_are_gone() const {
  return std::all_of(shared_->members.begin(), shared_->members.begin() + ranks_,
                     [](const Shared::Member& member) { return member.gone.load(); });
}

}  // namespace ferula::emulated
