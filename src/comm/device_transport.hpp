// Process groups for the memory of a GPU, made out of the groups of a transport that reaches host memory alone.
#pragma once

#include "comm/mesh.hpp"
#include "comm/staged_communicator.hpp"

namespace ferula {

struct DeviceTransportOptions {
  StagedOptions staged = {};
};

/// The ranks, hosts and places of `inner`; its groups exchange what passes through memory that host and device share.
/// Also on the CPU a legal transport: the results are those of `inner`, bit for bit.
std::unique_ptr<Mesh::Transport> make_device_transport(std::unique_ptr<Mesh::Transport> inner,
                                                       const DeviceTransportOptions& options = {});

}  // namespace ferula
