// Process groups over NCCL: collectives in the order of a stream of the GPU, without a task of the host.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "comm/nccl_session.hpp"

namespace ferula {

/// What a rank tells the others before they choose how to exchange the memory of their GPUs.
struct NcclCard {
  std::int64_t version = 0;  // 0: no NCCL here
  std::int64_t shares_gpus = 0;
  std::int64_t world_rank = 0;
  std::array<char, 64> host{};
  std::array<char, 128> gpu{};
};

/// Collective over `inner`. `api` may be null: no NCCL here.
std::vector<NcclCard> exchange_cards(Communicator& inner, const NcclApi* api, int world_rank, std::string_view host);

enum class DeviceTraffic : std::uint8_t { nccl, staged };
/// NCCL where all have it; staged where none has, or where two ranks share a GPU and NCCL does not let them.
/// Throws CommError, the same on all ranks, where versions differ or only some have it.
DeviceTraffic choose_traffic(std::span<const NcclCard> cards);

/// Collective over `inner`, which serves host memory, and tells the ranks of each other: when one cannot take part, all
/// throw the same CommError within `start_timeout`. Sums are NCCL's: of one layout the same bits each time, but not
/// those of the other communicators. Where a collective fails or is late, the watchdog ends what is under way on the
/// GPU; waiting for its stream and the next call on any group throw CommError. `api`, `watch` and `device` outlive the
/// result.
std::unique_ptr<Communicator> make_nccl_communicator(std::unique_ptr<Communicator> inner, GroupIdentity identity,
                                                     NcclApi& api, NcclWatch& watch, Device& device,
                                                     std::chrono::milliseconds start_timeout);

}  // namespace ferula
