#include "comm/counting_communicator.hpp"

#include <utility>

#include "base/ticks.hpp"

namespace ferula {
namespace {

struct Sent {
  Collective collective = Collective::all_reduce;
  std::int64_t elements = 0;
  std::int64_t bytes = 0;
};

Sent sent(Collective collective, const TensorView& tensor, std::int64_t times = 1) {
  return {collective, times * tensor.count(), times * tensor.bytes()};
}

class CountingCommunicator final : public Communicator {
 public:
  CountingCommunicator(std::unique_ptr<Communicator> inner, TrafficLedger& ledger)
      : inner_(std::move(inner)), ledger_(&ledger) {}

  int rank() const override { return inner_->rank(); }
  int size() const override { return inner_->size(); }
  std::string_view kind() const override { return inner_->kind(); }
  bool works_on_host() const override { return inner_->works_on_host(); }

  void all_reduce(Stream& stream, TensorView inout, ReduceOp op) override {
    counted(stream, sent(Collective::all_reduce, inout, 2), [&] { inner_->all_reduce(stream, inout, op); });
  }
  void all_gather(Stream& stream, TensorView shard, TensorView whole) override {
    counted(stream, sent(Collective::all_gather, whole), [&] { inner_->all_gather(stream, shard, whole); });
  }
  void reduce_scatter(Stream& stream, TensorView whole, TensorView shard, ReduceOp op) override {
    counted(stream, sent(Collective::reduce_scatter, whole), [&] { inner_->reduce_scatter(stream, whole, shard, op); });
  }
  void broadcast(Stream& stream, TensorView inout, int root) override {
    counted(stream, sent(Collective::broadcast, inout), [&] { inner_->broadcast(stream, inout, root); });
  }
  void send(Stream& stream, TensorView data, int to) override {
    const Sent message = sent(Collective::point_to_point, data);
    if (grouping_) {
      grouped_stream_ = &stream;
      grouped_.elements += message.elements;
      grouped_.bytes += message.bytes;
      inner_->send(stream, data, to);
    } else {
      counted(stream, message, [&] { inner_->send(stream, data, to); });
    }
  }
  void receive(Stream& stream, TensorView data, int from) override { inner_->receive(stream, data, from); }
  void group_begin() override {
    grouping_ = true;
    grouped_ = {.collective = Collective::point_to_point};
    grouped_stream_ = nullptr;
    inner_->group_begin();
  }
  void group_end() override {
    grouping_ = false;
    if (grouped_stream_ == nullptr) {
      inner_->group_end();
    } else {
      counted(*grouped_stream_, grouped_, [&] { inner_->group_end(); });
    }
  }

  Buffer allocate(std::int64_t bytes, MemoryKind kind) override { return inner_->allocate(bytes, kind); }
  bool has_common_memory() const override { return inner_->has_common_memory(); }
  Buffer allocate_common(std::int64_t bytes, MemoryKind kind) override { return inner_->allocate_common(bytes, kind); }
  std::chrono::milliseconds set_timeout(std::chrono::milliseconds timeout) override {
    return inner_->set_timeout(timeout);
  }
  void abort(std::string_view reason) override { inner_->abort(reason); }

 private:
  template <class Call>
  void counted(Stream& stream, const Sent& what, Call call) {
    if (!inner_->works_on_host()) {
      ledger_->add(what.collective, what.elements, what.bytes, 0.0, size());
      return call();
    }
    stream.run([this] { start_ = ticks_now(); });
    call();
    stream.run([this, what] {
      ledger_->add(what.collective, what.elements, what.bytes, seconds_of_ticks(ticks_now() - start_), size());
    });
  }

  std::unique_ptr<Communicator> inner_;
  TrafficLedger* ledger_;
  std::int64_t start_ = 0;  // ticks, of the collective that runs now: a group runs one at a time
  bool grouping_ = false;
  Sent grouped_;
  Stream* grouped_stream_ = nullptr;
};

}  // namespace

std::unique_ptr<Communicator> count_traffic(std::unique_ptr<Communicator> inner, TrafficLedger& ledger) {
  return std::make_unique<CountingCommunicator>(std::move(inner), ledger);
}

}  // namespace ferula
