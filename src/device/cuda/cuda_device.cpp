#include "device/cuda/cuda_device.hpp"

#include <cstring>
#include <deque>
#include <utility>

#include "base/narrow.hpp"
#include "device/cuda/cuda_stream.hpp"
#include "device/out_of_memory.hpp"

namespace ferula {
namespace {

class CudaDevice final : public Device {
 public:
  CudaDevice(int index, MemoryLedger& ledger) : index_(index), ledger_(&ledger) {
    check_cuda(cudaSetDevice(index), "cudaSetDevice({})", index);
    check_cuda(cudaFree(nullptr), "making a context on cuda:{}", index);
  }
  DeviceKind kind() const override { return DeviceKind::cuda; }
  std::string name() const override { return fmt::format("cuda:{}", index_); }
  MemoryLedger& ledger() override { return *ledger_; }
  std::unique_ptr<Stream> make_stream() override { return make("compute"); }
  std::unique_ptr<Stream> make_side_stream(std::string_view name) override { return make(std::string(name)); }

  /// cudaMalloc aligns to 256 bytes. Costs a synchronisation, so everything is allocated before the steps.
  Buffer allocate(std::int64_t bytes, MemoryKind kind) override {
    FERULA_CHECK(bytes >= 0, "asked for {} bytes", bytes);
    if (bytes == 0) return {};
    void* memory = nullptr;
    const cudaError_t status = cudaMalloc(&memory, narrow<std::size_t>(bytes));
    if (status == cudaErrorMemoryAllocation) refuse(bytes, kind);
    check_cuda(status, "cudaMalloc of {} bytes of {}", bytes, name_of(kind));
    Buffer buffer(static_cast<std::byte*>(memory), bytes, kind, ledger_,
                  [](std::byte* data, std::int64_t) { cudaFree(data); });
    check_cuda(cudaMemset(memory, 0, narrow<std::size_t>(bytes)), "cudaMemset of {} bytes", bytes);
    check_cuda(cudaStreamSynchronize(nullptr), "zeroing {} bytes", bytes);  // our streams do not wait for that one
    return buffer;
  }

  /// Pinned and mapped: with unified addressing host and GPU use the same pointer.
  Buffer allocate_shared(std::int64_t bytes, MemoryKind kind) override {
    FERULA_CHECK(bytes >= 0, "asked for {} bytes", bytes);
    if (bytes == 0) return {};
    void* memory = nullptr;
    const unsigned flags = cudaHostAllocMapped | cudaHostAllocPortable;
    const cudaError_t status = cudaHostAlloc(&memory, narrow<std::size_t>(bytes), flags);
    if (status == cudaErrorMemoryAllocation) refuse(bytes, kind);
    check_cuda(status, "cudaHostAlloc of {} bytes of {}", bytes, name_of(kind));
    Buffer buffer(static_cast<std::byte*>(memory), bytes, kind, ledger_,
                  [](std::byte* data, std::int64_t) { cudaFreeHost(data); });
    std::memset(memory, 0, narrow<std::size_t>(bytes));
    return buffer;
  }

  void copy(Stream& stream, const std::byte* from, std::byte* to, std::int64_t bytes) override {
    FERULA_CHECK(bytes >= 0, "a copy of {} bytes", bytes);
    if (bytes == 0) return;
    cuda_stream(stream).enqueue([from, to, bytes](cudaStream_t native) {
      check_cuda(cudaMemcpyAsync(to, from, narrow<std::size_t>(bytes), cudaMemcpyDefault, native), "a copy of {} bytes",
                 bytes);
    });
  }

 private:
  std::unique_ptr<Stream> make(std::string name) {
    return std::make_unique<CudaStream>(index_, std::move(name), faults_.emplace_back());
  }

  [[noreturn]] void refuse(std::int64_t bytes, MemoryKind kind) const {
    cudaGetLastError();  // it does not stick
    std::size_t free = 0, all = 0;
    std::string left;
    if (cudaMemGetInfo(&free, &all) == cudaSuccess)
      left = fmt::format("of the GPU's {} MiB, all its processes together, {} MiB are free", all >> 20, free >> 20);
    throw_out_of_memory(name(), bytes, kind, *ledger_, left);
  }

  int index_;
  MemoryLedger* ledger_;
  std::deque<StreamFault> faults_;  // of each stream that it has made
};

}  // namespace

std::unique_ptr<Device> make_cuda_device(int index, MemoryLedger& ledger) {
  return std::make_unique<CudaDevice>(index, ledger);
}

}  // namespace ferula
