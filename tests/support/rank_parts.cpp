#include "support/rank_parts.hpp"

#include "comm/simulated_transport.hpp"
#include "support/reference_ops.hpp"

namespace ferula::test {

void on_ranks_with(MeshShape shape, std::unique_ptr<Ops> (*make_ops)(Device&),
                   const std::function<void(RankParts&)>& body) {
  run_simulated_ranks(shape.ranks(), [&](std::unique_ptr<Mesh::Transport> transport) {
    RankParts rank(std::move(transport), shape, make_ops);
    body(rank);
  });
}

RankParts::RankParts(std::unique_ptr<Mesh::Transport> transport, MeshShape shape,
                     std::unique_ptr<Ops> (*make_ops)(Device&), std::unique_ptr<Device> (*make_device)(MemoryLedger&))
    : device(make_device(ledger)),
      ops(make_ops(*device)),
      compute(device->make_stream()),
      communication(device->make_stream()),
      mesh(std::move(transport), shape, *device),
      execution{*device, *ops, *compute, *communication, phases} {}

void on_ranks(MeshShape shape, const std::function<void(RankParts&)>& body) {
  on_ranks_with(
      shape, [](Device&) { return make_reference_ops(); }, body);
}

}  // namespace ferula::test
