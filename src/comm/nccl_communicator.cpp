#include "comm/nccl_communicator.hpp"

#include <algorithm>
#include <utility>

#include "comm/operands.hpp"
#include "device/cpu_stream.hpp"

namespace ferula {
namespace {

using Outcome = NcclSession::Start::Outcome;

template <std::size_t N>
void copy_words(std::string_view from, std::array<char, N>& to) {
  std::copy_n(from.begin(), std::min(from.size(), N - 1), to.begin());
}

/// `mine` of all ranks in rank order. `T` is plain bytes.
template <class T>
std::vector<T> gather_plain(Communicator& inner, T mine) {
  InlineStream line;
  std::vector<T> all(static_cast<std::size_t>(inner.size()));
  inner.all_gather(line, {reinterpret_cast<std::byte*>(&mine), DType::u8, {sizeof(T)}},
                   {reinterpret_cast<std::byte*>(all.data()), DType::u8, {inner.size(), sizeof(T)}});
  return all;
}

std::string words_of(const NcclCard& card) {
  const std::string what = card.version == 0 ? "none" : nccl_version_words(static_cast<int>(card.version));
  return fmt::format("{} on rank {} ({}, {})", what, card.world_rank, card.host.data(), card.gpu.data());
}

bool share_a_gpu(std::span<const NcclCard> cards) {
  for (std::size_t a = 0; a < cards.size(); ++a)
    for (std::size_t b = 0; b < a; ++b)
      if (cards[a].host == cards[b].host && cards[a].gpu == cards[b].gpu) return true;
  return false;
}

/// What a rank says of its part in the start of a group.
struct Report {
  std::int64_t outcome = 0;
  std::array<char, 400> words{};
};

class NcclCommunicator final : public Communicator {
 public:
  NcclCommunicator(std::unique_ptr<Communicator> inner, const GroupIdentity& identity, NcclApi& api, NcclWatch& watch,
                   Device& device)
      : inner_(std::move(inner)), api_(&api), watch_(&watch), device_(&device), session_(api, identity) {
    watch_->join(session_);
  }
  ~NcclCommunicator() override { watch_->leave(session_); }

  NcclSession& session() { return session_; }
  int rank() const override { return inner_->rank(); }
  int size() const override { return inner_->size(); }
  std::string_view kind() const override { return "nccl"; }
  bool works_on_host() const override { return false; }

  void all_reduce(Stream& stream, TensorView inout, ReduceOp op) override;
  void all_gather(Stream& stream, TensorView shard, TensorView whole) override;
  void reduce_scatter(Stream& stream, TensorView whole, TensorView shard, ReduceOp op) override;
  void broadcast(Stream& stream, TensorView inout, int root) override;
  void send(Stream& stream, TensorView data, int to) override { give(stream, {Message::Direction::send, to, data}); }
  void receive(Stream& stream, TensorView data, int from) override {
    give(stream, {Message::Direction::receive, from, data});
  }
  void group_begin() override { group_.begin(); }
  void group_end() override { group_.end(); }

  Buffer allocate(std::int64_t bytes, MemoryKind kind) override { return device_->allocate(bytes, kind); }
  std::chrono::milliseconds set_timeout(std::chrono::milliseconds timeout) override {
    inner_->set_timeout(timeout);
    return session_.set_timeout(timeout);
  }
  void abort(std::string_view reason) override {
    inner_->abort(reason);
    watch_->abort_all(NcclSession::Ending::aborted, std::string(reason));
  }

 private:
  template <class Call>
  void launch(std::string_view operation, Stream& stream, Call call) {
    try {
      session_.launch(operation, stream, call);
    } catch (const CommError& error) {
      watch_->abort_all(NcclSession::Ending::failed, error.what());
      throw;
    }
    watch_->wake();
  }
  /// Host memory goes over `inner`, in the order of the stream; all ranks pass the same kind of memory.
  template <class Call>
  bool over_host(std::string_view operation, const TensorView& view, Call call) {
    if (api_->reaches(view.data)) return false;
    session_.throw_if_over(operation);
    call();
    return true;
  }
  void give(Stream& stream, const Message& message);
  void exchange(Stream& stream, const std::vector<Message>& messages);

  std::unique_ptr<Communicator> inner_;
  NcclApi* api_;
  NcclWatch* watch_;
  Device* device_;
  NcclSession session_;
  MessageGroup group_{[this](Stream& stream, const std::vector<Message>& messages) { exchange(stream, messages); }};
};

void NcclCommunicator::all_reduce(Stream& stream, TensorView inout, ReduceOp op) {
  check_operand(inout);
  check_reducible(inout.dtype);
  if (inout.empty()) return;
  if (over_host("all_reduce", inout, [&] { inner_->all_reduce(stream, inout, op); })) return;
  launch("all_reduce", stream, [&](NcclComm comm) { return api_->all_reduce(comm, stream, inout, op); });
}

void NcclCommunicator::all_gather(Stream& stream, TensorView shard, TensorView whole) {
  check_parts(shard, whole, size());
  if (whole.empty()) return;
  if (over_host("all_gather", whole, [&] { inner_->all_gather(stream, shard, whole); })) return;
  launch("all_gather", stream, [&](NcclComm comm) { return api_->all_gather(comm, stream, shard, whole); });
}

void NcclCommunicator::reduce_scatter(Stream& stream, TensorView whole, TensorView shard, ReduceOp op) {
  check_parts(shard, whole, size());
  check_reducible(whole.dtype);
  if (whole.empty()) return;
  if (over_host("reduce_scatter", whole, [&] { inner_->reduce_scatter(stream, whole, shard, op); })) return;
  launch("reduce_scatter", stream, [&](NcclComm comm) { return api_->reduce_scatter(comm, stream, whole, shard, op); });
}

void NcclCommunicator::broadcast(Stream& stream, TensorView inout, int root) {
  check_operand(inout);
  check_root(root, size());
  if (inout.empty()) return;
  if (over_host("broadcast", inout, [&] { inner_->broadcast(stream, inout, root); })) return;
  launch("broadcast", stream, [&](NcclComm comm) { return api_->broadcast(comm, stream, inout, root); });
}

void NcclCommunicator::give(Stream& stream, const Message& message) {
  check_operand(message.data);
  check_peer(message.peer, rank(), size());
  if (message.data.empty()) return;
  group_.give(stream, message);
}

void NcclCommunicator::exchange(Stream& stream, const std::vector<Message>& messages) {
  std::vector<Message> near, far;  // the host's and the GPU's
  for (const Message& message : messages) (api_->reaches(message.data.data) ? far : near).push_back(message);
  const std::string_view operation = operation_of(messages);
  if (!far.empty()) launch(operation, stream, [&](NcclComm comm) { return api_->exchange(comm, stream, far); });
  if (near.empty()) return;
  session_.throw_if_over(operation);
  give_all(*inner_, stream, near);
}

[[noreturn]] void throw_shared(const std::string& message) {
  CommError error(message);
  error.share();
  throw error;
}

/// All ranks hear what each says; throws the same error on all of them where one has failed, its cause rather than that
/// others then waited in vain.
void agree_on(Communicator& inner, const GroupIdentity& identity, const NcclSession::Start& mine) {
  Report report{.outcome = static_cast<std::int64_t>(mine.outcome)};
  copy_words(mine.reason, report.words);
  const std::vector<Report> reports = gather_plain(inner, report);
  for (const Outcome outcome : {Outcome::failed, Outcome::late}) {
    for (int rank = 0; rank < identity.size(); ++rank) {
      const Report& theirs = reports[static_cast<std::size_t>(rank)];
      if (theirs.outcome != static_cast<std::int64_t>(outcome)) continue;
      GroupIdentity named = identity;
      named.rank = rank;
      throw_shared(failure_of(named, "start", theirs.words.data()));
    }
  }
}

}  // namespace

std::vector<NcclCard> exchange_cards(Communicator& inner, const NcclApi* api, int world_rank, std::string_view host) {
  NcclCard mine{.world_rank = world_rank};
  copy_words(host, mine.host);
  if (api != nullptr) {
    mine.version = api->version();
    mine.shares_gpus = api->shares_gpus() ? 1 : 0;
    copy_words(api->gpu(), mine.gpu);
  }
  return gather_plain(inner, mine);
}

DeviceTraffic choose_traffic(std::span<const NcclCard> cards) {
  for (const NcclCard& card : cards) {
    if (card.version == cards.front().version) continue;
    throw_shared(fmt::format(
        "expected the same version of NCCL on all ranks, found {} and {}; load one module on all nodes, or name one "
        "library with FERULA_NCCL_LIBRARY",
        words_of(cards.front()), words_of(card)));
  }
  if (cards.front().version == 0) return DeviceTraffic::staged;
  const bool may_share =
      std::all_of(cards.begin(), cards.end(), [](const NcclCard& card) { return card.shares_gpus != 0; });
  return share_a_gpu(cards) && !may_share ? DeviceTraffic::staged : DeviceTraffic::nccl;
}

std::unique_ptr<Communicator> make_nccl_communicator(std::unique_ptr<Communicator> inner, GroupIdentity identity,
                                                     NcclApi& api, NcclWatch& watch, Device& device,
                                                     std::chrono::milliseconds start_timeout) {
  Communicator& host = *inner;
  const auto blame = [&](const std::string& what) { return fmt::format("{} ({})", what, api.gpu()); };

  NcclId id;
  NcclSession::Start mine;
  if (identity.rank == 0)
    if (const NcclResult made = api.make_id(id); made.status == NcclResult::Status::failed)
      mine = {Outcome::failed, blame("NCCL says: " + made.words)};
  agree_on(host, identity, mine);
  InlineStream line;
  host.broadcast(line, {reinterpret_cast<std::byte*>(id.bytes.data()), DType::u8, {sizeof id.bytes}}, 0);

  auto group = std::make_unique<NcclCommunicator>(std::move(inner), identity, api, watch, device);
  mine = group->session().start(id, start_timeout);
  if (mine.outcome != Outcome::ready)
    mine.reason =
        blame(mine.reason) + ". NCCL_DEBUG=INFO tells more; NCCL_SOCKET_IFNAME names the network that the ranks share";
  agree_on(host, identity, mine);
  return group;
}

}  // namespace ferula
