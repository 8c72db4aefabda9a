// What the ranks of this process compute with: the host's processors, or GPUs.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "comm/mesh.hpp"
#include "config/resolve_config.hpp"
#include "device/gpu_info.hpp"
#include "ops/ops.hpp"

namespace ferula {

/// One a process, known before MPI is initialised; outlives the ranks.
class ComputeBackend {
 public:
  virtual ~ComputeBackend() = default;
  /// "cpu", "cuda": for messages where no rank has a device yet.
  virtual std::string_view kind() const = 0;
  /// Whether matrix products of bf16 run on instructions of their own.
  virtual bool computes_bf16() const = 0;
  /// The GPU of the rank at `place`: by its number on the node, among those that the process sees. Null on the host.
  virtual const GpuInfo* gpu_of(const NodePlace& place) const = 0;
  /// For the calling thread, which is the rank's. `ledger` outlives the device.
  virtual std::unique_ptr<Device> make_device(const NodePlace& place, MemoryLedger& ledger) const = 0;
  virtual std::unique_ptr<Ops> make_ops(Device& device) const = 0;
  /// `transport` with groups for this backend's memory.
  virtual std::unique_ptr<Mesh::Transport> adapted(std::unique_ptr<Mesh::Transport> transport) const = 0;
  /// Bytes that the rank at `place` may take: its share of what its node has left, or of its GPU. Absent where the
  /// system does not tell.
  virtual std::optional<std::int64_t> memory_for(const NodePlace& place) const = 0;
  /// Why these are not GPUs although they could have been; empty where nothing is to be said.
  virtual const std::string& note() const = 0;
};

/// As [run] device says. "auto": GPUs where the process sees one, else the host with a note. "cuda": throws DeviceError
/// which says what was looked for, where there is none.
std::unique_ptr<ComputeBackend> choose_compute(const RunConfig& run);

/// What "auto" values of a configuration become with this backend.
DeviceFacts device_facts(const ComputeBackend& compute);

/// Whether several ranks may have one GPU ([run] share_gpu).
enum class GpuSharing : unsigned char { refused, allowed };

/// Collective over the ranks of `transport`. Throws on all ranks: ConfigError where two have one GPU and may not,
/// DeviceError where some have GPUs and others none. Returns a line for each rank with host, GPU, UUID and memory;
/// nothing where no rank has one.
std::vector<std::string> agree_on_gpus(Mesh::Transport& transport, const GpuInfo* mine, GpuSharing sharing);

}  // namespace ferula
