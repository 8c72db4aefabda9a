// Helpers for tests of communicators: operands with known values, and a mesh a simulated rank.
#pragma once

#include <functional>
#include <vector>

#include "comm/device_transport.hpp"
#include "comm/mesh.hpp"
#include "comm/simulated_transport.hpp"
#include "support/fake_nccl.hpp"
#include "support/message_of.hpp"

namespace ferula::test {

/// For tests in which every rank answers.
inline constexpr MeshOptions kPatient{.timeout = std::chrono::seconds(60)};

/// What one rank of a test has.
struct Rank {
  Mesh& mesh;
  Device& device;
  Stream& stream;
};

/// Runs `body` on simulated ranks, each with a mesh of `shape`.
inline void on_simulated_ranks(const MeshShape& shape, const MeshOptions& options,
                               const std::function<void(Rank)>& body) {
  run_simulated_ranks(shape.ranks(), [&](std::unique_ptr<Mesh::Transport> transport) {
    MemoryLedger ledger;
    const std::unique_ptr<Device> device = make_cpu_device(ledger);
    Mesh mesh(std::move(transport), shape, *device, options);
    const std::unique_ptr<Stream> stream = device->make_stream();
    body({mesh, *device, *stream});
  });
}

/// As many ranks as asked for, all on the shard axis.
inline void on_simulated_ranks(int ranks, const std::function<void(Rank)>& body) {
  on_simulated_ranks(MeshShape{.shard = ranks}, kPatient, body);
}

/// What the ranks of a parameterised test are: threads over their own memory, or over that of a device out of the
/// host's reach, staged in pieces of so many bytes or through (a fake of) NCCL.
struct RankKind {
  enum class Groups { simulated, staged, nccl };
  int ranks = 1;
  Groups groups = Groups::simulated;
  std::int64_t staged_bytes = 0;
};

inline void PrintTo(const RankKind& kind, std::ostream* out) {
  *out << kind.ranks << (kind.groups == RankKind::Groups::nccl ? "_nccl" : "");
  if (kind.groups == RankKind::Groups::staged) *out << "_staged_" << kind.staged_bytes;
}

inline std::vector<RankKind> rank_kinds() {
  using Groups = RankKind::Groups;
  std::vector<RankKind> kinds;
  for (const int ranks : {1, 2, 3, 4})
    for (const RankKind& kind : {RankKind{ranks, Groups::simulated}, RankKind{ranks, Groups::staged, 96},
                                 RankKind{ranks, Groups::staged, 1 << 20}, RankKind{ranks, Groups::nccl}})
      kinds.push_back(kind);
  return kinds;
}

/// A rank whose groups are of the fake NCCL.
struct NcclRank {
  Rank rank;
  FakeNccl& nccl;
  NcclBehaviour& behaviour;
};

/// Runs `body` on ranks with far devices and fakes of NCCL; `behaviour_of` says how a rank's behaves from the start.
inline void on_nccl_ranks(int ranks, const MeshOptions& options, const std::function<NcclBehaviour(int)>& behaviour_of,
                          const std::function<void(NcclRank)>& body) {
  FakeNcclWorld world;
  run_simulated_ranks(ranks, [&](std::unique_ptr<Mesh::Transport> transport) {
    MemoryLedger ledger;
    FarDevice device(ledger);
    NcclBehaviour behaviour = behaviour_of(transport->rank());
    auto made = std::make_unique<FakeNccl>(world, device, transport->rank(), behaviour);
    FakeNccl& nccl = *made;
    Mesh mesh(
        make_device_transport(std::move(transport), std::move(made), {.nccl_start_timeout = std::chrono::seconds(20)}),
        {.shard = ranks}, device, options);
    const std::unique_ptr<Stream> stream = device.make_stream();
    body({{mesh, device, *stream}, nccl, behaviour});
  });
}

inline void on_simulated_ranks(const RankKind& kind, const MeshOptions& options,
                               const std::function<void(Rank)>& body) {
  const MeshShape shape{.shard = kind.ranks};
  if (kind.groups == RankKind::Groups::simulated) return on_simulated_ranks(shape, options, body);
  if (kind.groups == RankKind::Groups::nccl)
    return on_nccl_ranks(
        kind.ranks, options, [](int) { return NcclBehaviour{}; }, [&](const NcclRank& rank) { body(rank.rank); });
  run_simulated_ranks(kind.ranks, [&](std::unique_ptr<Mesh::Transport> transport) {
    MemoryLedger ledger;
    FarDevice device(ledger);
    const StagedOptions staged{.chunk_bytes = kind.staged_bytes, .message_chunk_bytes = kind.staged_bytes};
    Mesh mesh(make_device_transport(std::move(transport), {.staged = staged}), shape, device, options);
    const std::unique_ptr<Stream> stream = device.make_stream();
    body({mesh, device, *stream});
  });
}

inline void on_simulated_ranks(const RankKind& kind, const std::function<void(Rank)>& body) {
  on_simulated_ranks(kind, kPatient, body);
}

template <class T>
TensorView view_of(std::vector<T>& values) {
  return {reinterpret_cast<std::byte*>(values.data()), dtype_of<T>, {static_cast<std::int64_t>(values.size())}};
}

}  // namespace ferula::test
