#include "comm/checked_communicator.hpp"

#include <span>
#include <utility>
#include <vector>

#include "comm/group_identity.hpp"

namespace ferula {
namespace {

using Kind = CollectiveCall::Kind;

/// A call as the words that travel: sequence number, kind, dtype, count, detail, world rank.
constexpr std::int64_t kWords = 6;

class CheckedCommunicator final : public Communicator {
 public:
  CheckedCommunicator(std::unique_ptr<Communicator> inner, std::string_view axis, int world_rank)
      : inner_(std::move(inner)),
        axis_(axis),
        world_rank_(world_rank),
        mine_(static_cast<std::size_t>(kWords)),
        all_(static_cast<std::size_t>(kWords * inner_->size())) {}

  int rank() const override { return inner_->rank(); }
  int size() const override { return inner_->size(); }
  std::string_view kind() const override { return inner_->kind(); }
  bool works_on_host() const override { return inner_->works_on_host(); }

  void all_reduce(Stream& stream, TensorView inout, ReduceOp op) override {
    compare(stream, {Kind::all_reduce, inout.dtype, inout.count(), static_cast<std::int64_t>(op)});
    inner_->all_reduce(stream, inout, op);
  }
  void all_gather(Stream& stream, TensorView shard, TensorView whole) override {
    compare(stream, {Kind::all_gather, whole.dtype, whole.count(), 0});
    inner_->all_gather(stream, shard, whole);
  }
  void reduce_scatter(Stream& stream, TensorView whole, TensorView shard, ReduceOp op) override {
    compare(stream, {Kind::reduce_scatter, whole.dtype, whole.count(), static_cast<std::int64_t>(op)});
    inner_->reduce_scatter(stream, whole, shard, op);
  }
  void broadcast(Stream& stream, TensorView inout, int root) override {
    compare(stream, {Kind::broadcast, inout.dtype, inout.count(), root});
    inner_->broadcast(stream, inout, root);
  }
  void send(Stream& stream, TensorView data, int to) override { inner_->send(stream, data, to); }
  void receive(Stream& stream, TensorView data, int from) override { inner_->receive(stream, data, from); }
  void group_begin() override { inner_->group_begin(); }
  void group_end() override { inner_->group_end(); }

  Buffer allocate(std::int64_t bytes, MemoryKind kind) override { return inner_->allocate(bytes, kind); }
  bool has_common_memory() const override { return inner_->has_common_memory(); }
  Buffer allocate_common(std::int64_t bytes, MemoryKind kind) override { return inner_->allocate_common(bytes, kind); }
  std::chrono::milliseconds set_timeout(std::chrono::milliseconds timeout) override {
    return inner_->set_timeout(timeout);
  }
  void abort(std::string_view reason) override { inner_->abort(reason); }

 private:
  static TensorView words_view(std::vector<std::int64_t>& words) {
    return {reinterpret_cast<std::byte*>(words.data()), DType::i64, {static_cast<std::int64_t>(words.size())}};
  }

  void compare(Stream& stream, const CollectiveCall& call) {
    stream.run([this, call] {
      mine_ = {++sequence_,
               static_cast<std::int64_t>(call.kind),
               static_cast<std::int64_t>(call.dtype),
               call.count,
               call.detail,
               world_rank_};
    });
    inner_->all_gather(stream, words_view(mine_), words_view(all_));
    stream.run([this] { throw_if_calls_differ(); });
  }

  CollectiveCall call_of(int rank) const {
    const auto first = static_cast<std::size_t>(rank * kWords);
    return {static_cast<Kind>(all_[first + 1]), static_cast<DType>(all_[first + 2]), all_[first + 3], all_[first + 4]};
  }

  std::int64_t world_rank_of(int rank) const { return all_[static_cast<std::size_t>(rank * kWords + 5)]; }

  void throw_if_calls_differ() const {
    for (int rank = 1; rank < size(); ++rank) {
      if (call_of(rank) == call_of(0)) continue;
      throw CommError(fmt::format(
          "collective {} of group '{}': all ranks make the same calls in the same order, but rank {} called {} and "
          "rank {} called "
          "{}",
          sequence_, axis_, world_rank_of(0), describe(call_of(0)), world_rank_of(rank), describe(call_of(rank))));
    }
  }

  std::unique_ptr<Communicator> inner_;
  std::string axis_;
  int world_rank_;
  std::int64_t sequence_ = 0;
  std::vector<std::int64_t> mine_, all_;
};

}  // namespace

std::unique_ptr<Communicator> check_collectives(std::unique_ptr<Communicator> inner, std::string_view axis,
                                                int world_rank) {
  return std::make_unique<CheckedCommunicator>(std::move(inner), axis, world_rank);
}

}  // namespace ferula
