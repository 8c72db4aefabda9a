// Process groups for the memory of a GPU, made out of the groups of a transport that reaches host memory alone.
#pragma once

#include "comm/mesh.hpp"
#include "comm/nccl_api.hpp"
#include "comm/staged_communicator.hpp"

namespace ferula {

struct DeviceTransportOptions {
  StagedOptions staged = {};
  std::chrono::milliseconds nccl_start_timeout{25'000};  // until all ranks of a group are connected
};

/// The ranks, hosts and places of `inner`. Its groups exchange the memory of GPUs through NCCL where all ranks of a
/// group have it; else through memory that host and device share, with the results of `inner`, bit for bit, also on the
/// CPU. `nccl`: this rank's, null where there is none. Where the ranks of a group differ in it, `make` throws
/// CommError.
std::unique_ptr<Mesh::Transport> make_device_transport(std::unique_ptr<Mesh::Transport> inner,
                                                       std::unique_ptr<NcclApi> nccl,
                                                       const DeviceTransportOptions& options = {});
/// The same without NCCL.
std::unique_ptr<Mesh::Transport> make_device_transport(std::unique_ptr<Mesh::Transport> inner,
                                                       const DeviceTransportOptions& options = {});

}  // namespace ferula
