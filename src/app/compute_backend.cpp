#include "app/compute_backend.hpp"

#include <utility>

#include "app/gpu_library.hpp"
#include "base/narrow.hpp"
#include "comm/device_transport.hpp"
#include "comm/launch_environment.hpp"
#include "comm/simulated_transport.hpp"
#include "device/host_memory.hpp"
#include "ops/capabilities.hpp"

namespace ferula {
namespace {

constexpr int kLeastCapability = 8;  // of the bf16 instructions that the kernels use

class HostBackend final : public ComputeBackend {
 public:
  explicit HostBackend(std::string note) : note_(std::move(note)) {}
  std::string_view kind() const override { return "cpu"; }
  bool computes_bf16() const override { return cpu_computes_bf16(); }
  const GpuInfo* gpu_of(const NodePlace&) const override { return nullptr; }
  std::unique_ptr<Device> make_device(const NodePlace&, MemoryLedger& ledger) const override {
    return make_cpu_device(ledger);
  }
  std::unique_ptr<Ops> make_ops(Device& device) const override { return make_cpu_ops(device); }
  std::unique_ptr<Mesh::Transport> adapted(std::unique_ptr<Mesh::Transport> transport) const override {
    return transport;
  }
  std::optional<std::int64_t> memory_for(const NodePlace& place) const override {
    const std::optional<std::int64_t> available = available_host_memory();
    return available ? std::optional(*available / place.ranks_on_node) : std::nullopt;
  }
  const std::string& note() const override { return note_; }

 private:
  std::string note_;
};

class GpusOfProcess final : public ComputeBackend {
 public:
  GpusOfProcess(std::unique_ptr<GpuBackend> backend, std::vector<GpuInfo> gpus, Determinism determinism)
      : backend_(std::move(backend)), gpus_(std::move(gpus)), determinism_(determinism) {}
  std::string_view kind() const override { return "cuda"; }
  bool computes_bf16() const override { return true; }
  const GpuInfo* gpu_of(const NodePlace& place) const override {
    return &gpus_[static_cast<std::size_t>(place.rank_on_node) % gpus_.size()];
  }
  std::unique_ptr<Device> make_device(const NodePlace& place, MemoryLedger& ledger) const override {
    return backend_->make_device(gpu_of(place)->index, ledger);
  }
  std::unique_ptr<Ops> make_ops(Device& device) const override { return backend_->make_ops(device, determinism_); }
  std::unique_ptr<Mesh::Transport> adapted(std::unique_ptr<Mesh::Transport> transport) const override {
    if (transport->size() == 1) return make_device_transport(std::move(transport));
    NcclOpening nccl = backend_->make_nccl();
    return make_device_transport(std::move(transport), std::move(nccl.api),
                                 {.staged = {.why = std::move(nccl.reason)}});
  }
  std::optional<std::int64_t> memory_for(const NodePlace& place) const override {
    const auto gpus = std::ssize(gpus_);
    const std::int64_t sharers = ceil_div(place.ranks_on_node - place.rank_on_node % gpus, gpus);
    return gpu_of(place)->memory_bytes / sharers;
  }
  const std::string& note() const override { return note_; }

 private:
  std::unique_ptr<GpuBackend> backend_;
  std::vector<GpuInfo> gpus_;
  Determinism determinism_;
  std::string note_;
};

std::vector<GpuInfo> gpus_of(const GpuBackend& backend) {
  try {
    return backend.gpus();
  } catch (const DeviceError& error) {
    throw DeviceError(fmt::format("{}: {}", host_name(), error.what()));
  }
}

std::unique_ptr<ComputeBackend> gpus_of_process(Determinism determinism) {
  const std::optional<std::string> library = gpu_library();
  if (!library)
    throw DeviceError(
        fmt::format("expected the CUDA backend at {}, found no file there; build with FERULA_CUDA=ON, or "
                    "set [run] device = \"cpu\"",
                    fmt::join(gpu_library_paths(), " or ")));
  if (!has_gpu_driver())
    throw DeviceError(
        fmt::format("expected NVIDIA's driver on {}, found no libcuda.so.1; start on a host with a GPU, or set "
                    "[run] device = \"cpu\"",
                    host_name()));
  std::unique_ptr<GpuBackend> backend = open_gpu_backend(*library);
  std::vector<GpuInfo> gpus = gpus_of(*backend);
  if (gpus.empty())
    throw DeviceError(
        fmt::format("expected a GPU on {}, found none: CUDA lists no device, with {}; ask the job for GPUs "
                    "(--gpus-per-task=1), look at nvidia-smi, or set [run] device = \"cpu\"",
                    host_name(), gpu_environment()));
  for (const GpuInfo& gpu : gpus)
    if (gpu.capability_major < kLeastCapability)
      throw DeviceError(
          fmt::format("expected GPUs of compute capability {}.0 or later, found {}.{}: cuda:{} on {}, {}; hide "
                      "it with CUDA_VISIBLE_DEVICES, or set [run] device = \"cpu\"",
                      kLeastCapability, gpu.capability_major, gpu.capability_minor, gpu.index, host_name(), gpu.name));
  return std::make_unique<GpusOfProcess>(std::move(backend), std::move(gpus), determinism);
}

}  // namespace

DeviceFacts device_facts(const ComputeBackend& compute) {
  std::string reason = compute.note();
  if (compute.kind() != "cpu") reason = "this process sees a GPU";
  if (reason.empty()) reason = "this build is for the CPU alone";
  return {.kind = std::string(compute.kind()), .reason = std::move(reason), .has_native_bf16 = compute.computes_bf16()};
}

std::unique_ptr<ComputeBackend> choose_compute(const RunConfig& run) {
  const Determinism determinism = run.deterministic ? Determinism::same_bits : Determinism::fastest;
  if (run.device == "cpu") return std::make_unique<HostBackend>("");
  if (run.device == "cuda") return gpus_of_process(determinism);
  if (!gpu_library()) return std::make_unique<HostBackend>("");  // a build for the host alone
  try {
    return gpus_of_process(determinism);
  } catch (const DeviceError& error) {
    return std::make_unique<HostBackend>(error.what());
  }
}

}  // namespace ferula
