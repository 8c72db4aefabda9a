// Which rank has which GPU: told to all ranks, and judged alike by all.
#include <algorithm>
#include <array>
#include <span>

#include "app/compute_backend.hpp"
#include "base/human.hpp"

namespace ferula {
namespace {

/// A rank's GPU as it travels.
struct GpuCard {
  std::array<char, 64> host{};
  std::array<char, 64> name{};
  std::array<char, 48> uuid{};
  std::int64_t memory_bytes = 0;
  std::int32_t index = -1;  // without a GPU
};

template <std::size_t Size>
void put_text(std::array<char, Size>& field, const std::string& text) {
  text.copy(field.data(), Size - 1);
}

GpuCard card_of(const Mesh::Transport& transport, const GpuInfo* gpu) {
  GpuCard card;
  put_text(card.host, transport.host());
  if (gpu == nullptr) return card;
  put_text(card.name, gpu->name);
  put_text(card.uuid, gpu->uuid);
  card.memory_bytes = gpu->memory_bytes;
  card.index = gpu->index;
  return card;
}

/// On host memory, before there is a device.
std::vector<GpuCard> cards_of_all(Mesh::Transport& transport, GpuCard mine) {
  MemoryLedger ledger;
  const std::unique_ptr<Device> host = make_cpu_device(ledger);
  const std::unique_ptr<Stream> stream = host->make_stream();
  MeshGroup world{.axis = "world", .members = {}};
  for (int rank = 0; rank < transport.size(); ++rank) world.members.push_back(rank);
  const std::unique_ptr<Communicator> group = transport.make(world, *host);
  std::vector<GpuCard> cards(world.members.size());
  const auto view = [](std::span<GpuCard> some) {
    const auto bytes = std::as_writable_bytes(some);
    return TensorView(bytes.data(), DType::u8, {std::ssize(bytes)});
  };
  group->all_gather(*stream, view({&mine, 1}), view(cards));
  stream->synchronize();
  return cards;
}

template <class Kind>
[[noreturn]] void throw_on_all(const std::string& message) {
  Kind error(message);
  error.share();
  throw error;
}

void check_mixture(const std::vector<GpuCard>& cards) {
  const auto has_none = [](const GpuCard& card) { return card.index < 0; };
  const auto without = std::find_if(cards.begin(), cards.end(), has_none);
  const auto with = std::find_if_not(cards.begin(), cards.end(), has_none);
  if (without == cards.end() || with == cards.end()) return;
  throw_on_all<DeviceError>(
      fmt::format("expected all ranks on GPUs or none, found rank {} on {} without one and rank {} on {} with one; ask "
                  "the job for a "
                  "GPU for each rank, or set [run] device = \"cpu\"",
                  without - cards.begin(), without->host.data(), with - cards.begin(), with->host.data()));
}

void check_sharing(const std::vector<GpuCard>& cards) {
  for (auto second = cards.begin(); second != cards.end(); ++second) {
    const auto first =
        std::find_if(cards.begin(), second, [&](const GpuCard& card) { return card.uuid == second->uuid; });
    if (first == second) continue;
    throw_on_all<ConfigError>(fmt::format(
        "expected a GPU for each rank, found ranks {} and {} on the same one: {}, cuda:{}, {} ({}); start at "
        "most as many ranks a node as it has GPUs, or set [run] share_gpu = true",
        first - cards.begin(), second - cards.begin(), second->host.data(), second->index, second->name.data(),
        second->uuid.data()));
  }
}

}  // namespace

std::vector<std::string> agree_on_gpus(Mesh::Transport& transport, const GpuInfo* mine, GpuSharing sharing) {
  const std::vector<GpuCard> cards = cards_of_all(transport, card_of(transport, mine));
  check_mixture(cards);
  if (cards.front().index < 0) return {};
  if (sharing == GpuSharing::refused) check_sharing(cards);
  std::vector<std::string> lines;
  lines.reserve(cards.size());
  for (const GpuCard& card : cards)
    lines.push_back(fmt::format("rank {}: {}, cuda:{}, {}, {}, {}", lines.size(), card.host.data(), card.index,
                                card.name.data(), human_bytes(card.memory_bytes), card.uuid.data()));
  return lines;
}

}  // namespace ferula
