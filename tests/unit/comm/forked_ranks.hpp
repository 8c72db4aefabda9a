// Ranks as child processes without MPI: what tests of shared memory and of dying ranks need.
#pragma once

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <functional>
#include <new>
#include <span>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "comm/shared_memory.hpp"

namespace ferula::test {

/// Memory by which child processes exchange their cards.
struct CardTable {
  std::array<SegmentCard, 8> cards;
  std::atomic<int> written{0};
  std::atomic<int> read{0};
};

/// What a child has.
struct Child {
  Communicator& group;
  NodeWindow& window;
  Device& device;
  Stream& stream;
};

/// Starts children, and collects them at the end.
class ForkedRanks {
 public:
  /// `body` runs in each child; a child ends with 0 unless it throws or a test assertion in it fails.
  ForkedRanks(int ranks, const SharedMemoryOptions& options, const std::function<void(Child)>& body)
      : mapping_(map_table()), table_(std::construct_at(reinterpret_cast<CardTable*>(mapping_.memory().data()))) {
    for (int rank = 0; rank < ranks; ++rank) {
      const pid_t child = fork();
      if (child == 0) run(rank, ranks, options, body);
      children_.push_back(child);
    }
  }

  /// Exit codes by rank; 128 + signal where one was killed.
  std::vector<int> wait() {
    std::vector<int> codes;
    for (const pid_t child : children_) {
      int status = 0;
      waitpid(child, &status, 0);
      codes.push_back(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    }
    return codes;
  }

 private:
  static Mapping map_table() {
    void* memory = mmap(nullptr, sizeof(CardTable), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    return Mapping({static_cast<std::byte*>(memory), sizeof(CardTable)});
  }

  static void await(const std::atomic<int>& counter, int least) {
    while (counter.load() < least) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }

  [[noreturn]] void run(int rank, int ranks, const SharedMemoryOptions& options,
                        const std::function<void(Child)>& body) {
    int round = 0;
    const auto exchange = [&](const SegmentCard& mine) {
      ++round;
      await(table_->read, (round - 1) * ranks);
      table_->cards[static_cast<std::size_t>(rank)] = mine;
      table_->written.fetch_add(1);
      await(table_->written, round * ranks);
      std::vector<SegmentCard> all(table_->cards.begin(), table_->cards.begin() + ranks);
      table_->read.fetch_add(1);
      return all;
    };
    int code = 1;
    try {
      MemoryLedger ledger;
      const std::unique_ptr<Device> device = make_cpu_device(ledger);
      NodeWindow window(rank);
      GroupIdentity identity{.axis = "world", .rank = rank, .members = {}};
      for (int member = 0; member < ranks; ++member) identity.members.push_back({member, "here", 0});
      const auto group = make_shared_memory_communicator(identity, window, *device, options, exchange);
      const std::unique_ptr<Stream> stream = device->make_stream();
      body({*group, window, *device, *stream});
      code = ::testing::Test::HasFailure() ? 1 : 0;
    } catch (const std::exception& error) {
      std::fprintf(stderr, "child %d: %s\n", rank, error.what());
    }
    std::_Exit(code);
  }

  Mapping mapping_;
  CardTable* table_;
  std::vector<pid_t> children_;
};

}  // namespace ferula::test
