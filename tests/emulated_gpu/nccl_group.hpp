// Ranks of one host, threads or processes, that read each other's memory: what the emulated NCCL is made of.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace ferula::emulated {

inline constexpr int kMostRanks = 8;

/// Memory of a rank that others read.
struct Offer {
  const void* data = nullptr;
  std::size_t bytes = 0;
  std::int64_t kind = 0;  // of the operation; all ranks must be in the same
};

/// What the ranks of a group share, zeros at first.
struct Shared {
  struct Member {
    std::atomic<std::uint64_t> offered, finished;  // numbers of operations
    std::atomic<bool> gone;                        // destroyed or aborted
    int process;
    Offer offer;
  };
  struct Mail {
    std::atomic<std::uint64_t> offered, taken;
    Offer offer;
  };
  std::atomic<int> joined;
  std::array<Member, kMostRanks> members;
  std::array<std::array<Mail, kMostRanks>, kMostRanks> mail;  // [from][to]
};

/// One rank's place in a group. Operations run in the order in which their numbers were taken. A wait ends early where
/// the group is aborted; the operation then returns false and leaves its result alone.
class Group {
 public:
  /// The group of this name, which the first that asks makes. Throws std::system_error.
  Group(const std::string& name, int rank, int ranks);

  int rank() const { return rank_; }
  int ranks() const { return ranks_; }
  bool is_complete() const { return shared_->joined >= ranks_; }

  /// Offers memory and takes what all ranks have offered in this operation, in the order of ranks: the bytes
  /// [from, from + bytes) of each.
  bool gather(std::uint64_t number, const Offer& mine, std::size_t from, std::size_t bytes,
              std::vector<std::vector<std::byte>>& taken);

  struct Message {
    bool is_send = false;
    int peer = 0;
    void* data = nullptr;
    std::size_t bytes = 0;
    std::uint64_t number = 0;  // of its direction with this peer, from 1
  };
  bool exchange(const std::vector<Message>& messages);

  void abort() { aborted_ = true; }
  /// Says that this rank is gone, and whether all others are.
  void leave() { shared_->members[static_cast<std::size_t>(rank_)].gone = true; }
  bool all_are_gone() const;
  /// Why an operation failed though nobody aborted it; empty: none has.
  std::string problem() const { return failed_ ? problem_ : ""; }

 private:
  enum class Step : unsigned char { waits, done, failed };
  /// Does what can be done for a message by now.
  Step advance(const Message& message, std::vector<std::byte>& received);
  template <class Condition>
  bool await(Condition condition);
  bool read(int from, const void* data, std::size_t bytes, std::byte* to);
  bool fail(const std::string& problem);

  Shared* shared_;
  int rank_, ranks_;
  std::atomic<bool> aborted_ = false, failed_ = false;
  std::string problem_;
};

}  // namespace ferula::emulated
