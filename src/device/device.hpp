// Where tensors live: memory with an owner, and streams. `make_cpu_device` is the host's own; `device/cuda/` has GPUs.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "device/ledger.hpp"
#include "device/stream.hpp"
#include "device/tensor_view.hpp"

namespace ferula {

enum class DeviceKind : std::uint8_t { cpu, cuda };

/// Owns memory that its ledger counts; move-only. 64-byte aligned. `release` is how the provider takes it back.
class Buffer {
 public:
  using Release = std::function<void(std::byte*, std::int64_t)>;

  Buffer() = default;
  Buffer(std::byte* data, std::int64_t bytes, MemoryKind kind, MemoryLedger* ledger, Release release);
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { reset(); }

  std::byte* data() const { return data_; }
  std::int64_t bytes() const { return bytes_; }
  TensorView view(DType dtype, std::initializer_list<std::int64_t> shape) const;
  /// The whole buffer as a one-dimensional view.
  TensorView flat(DType dtype) const;
  void reset();

 private:
  std::byte* data_ = nullptr;
  std::int64_t bytes_ = 0;
  MemoryKind kind_ = MemoryKind::buffers;
  MemoryLedger* ledger_ = nullptr;
  Release release_;
};

class Device {
 public:
  virtual ~Device() = default;
  virtual DeviceKind kind() const = 0;
  /// "cpu", "cuda:1": the spelling of messages and of summary.json.
  virtual std::string name() const = 0;
  /// Zeroed, 64-byte aligned memory, counted under `kind`. Zero bytes give an empty buffer.
  /// Throws CapacityError with the request and what is held by kind.
  virtual Buffer allocate(std::int64_t bytes, MemoryKind kind) = 0;
  /// Like `allocate`, but memory that host and device both reach (on a GPU: pinned and mapped): for small arrays that
  /// the host fills or reads. Operations use it in place; the host touches it only while no work on it is under way.
  virtual Buffer allocate_shared(std::int64_t bytes, MemoryKind kind) = 0;
  /// Copies `bytes` in the order of `stream`, between any two of host and device memory; the two do not overlap.
  /// A copy from or to ordinary host memory may block the caller; one from or to shared memory does not.
  virtual void copy(Stream& stream, const std::byte* from, std::byte* to, std::int64_t bytes) = 0;
  virtual MemoryLedger& ledger() = 0;
  /// A stream that runs on the caller's thread.
  virtual std::unique_ptr<Stream> make_stream() = 0;
  /// A stream that runs beside the caller (on the CPU: one thread with `threads` of OpenMP, normally 1).
  virtual std::unique_ptr<Stream> make_side_stream(std::string_view name) = 0;
};

/// `ledger` must outlive the device and its buffers.
std::unique_ptr<Device> make_cpu_device(MemoryLedger& ledger);

}  // namespace ferula
