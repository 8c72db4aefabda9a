// Helpers for tests of communicators: operands with known values, and a mesh a simulated rank.
#pragma once

#include <functional>
#include <vector>

#include "comm/mesh.hpp"
#include "comm/simulated_transport.hpp"

namespace ferula::test {

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
  on_simulated_ranks(MeshShape{.shard = ranks}, {.timeout = std::chrono::seconds(60)}, body);
}

template <class T>
TensorView view_of(std::vector<T>& values) {
  return {reinterpret_cast<std::byte*>(values.data()), dtype_of<T>, {static_cast<std::int64_t>(values.size())}};
}

}  // namespace ferula::test
