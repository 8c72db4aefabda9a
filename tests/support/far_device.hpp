// A device whose memory the host cannot reach, as a GPU's: what touches it other than by `copy` is killed by SIGSEGV.
#pragma once

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "device/device.hpp"

namespace ferula::test {

/// Addresses of its memory lie `kFar` above the bytes, where nothing is mapped. Streams are threads of their own, so
/// that a call returns before its work is done.
class FarDevice : public Device {
 public:
  explicit FarDevice(MemoryLedger& ledger) : host_(make_cpu_device(ledger)) {}
  DeviceKind kind() const override { return DeviceKind::cuda; }
  std::string name() const override { return "far:0"; }
  MemoryLedger& ledger() override { return host_->ledger(); }
  std::unique_ptr<Stream> make_stream() override { return host_->make_side_stream("compute"); }
  std::unique_ptr<Stream> make_side_stream(std::string_view name) override { return host_->make_side_stream(name); }

  static bool is_far(const std::byte* address) { return reinterpret_cast<std::intptr_t>(address) >= kFar; }

  Buffer allocate(std::int64_t bytes, MemoryKind kind) override {
    Buffer near = host_->allocate(bytes, kind);
    if (near.data() == nullptr) return {};
    auto kept = std::make_shared<Buffer>(std::move(near));  // NOLINT: what a std::function holds must be copyable
    return {kept->data() + kFar, bytes, kind, nullptr, [kept](std::byte*, std::int64_t) { kept->reset(); }};
  }
  Buffer allocate_shared(std::int64_t bytes, MemoryKind kind) override { return host_->allocate(bytes, kind); }
  /// Where the bytes of its memory are, for operations that stand in for the device's.
  static TensorView near(TensorView view) {
    view.data = const_cast<std::byte*>(near_of(view.data));
    return view;
  }
  void copy(Stream& stream, const std::byte* from, std::byte* to, std::int64_t bytes) override {
    const std::byte* source = near_of(from);
    auto* destination = const_cast<std::byte*>(near_of(to));
    if (bytes > 0) stream.run([=] { std::memcpy(destination, source, static_cast<std::size_t>(bytes)); });
  }

 private:
  static constexpr std::intptr_t kFar = std::intptr_t{1} << 48;  // above all addresses of a process
  static const std::byte* near_of(const std::byte* address) { return is_far(address) ? address - kFar : address; }

  std::unique_ptr<Device> host_;
};

inline std::unique_ptr<Device> make_far_device(MemoryLedger& ledger) { return std::make_unique<FarDevice>(ledger); }

/// Values of a test in the memory of a device.
template <class T>
class OnDevice {
 public:
  OnDevice(Device& device, Stream& stream, const std::vector<T>& values)
      : device_(&device),
        stream_(&stream),
        count_(values.size()),
        buffer_(device.allocate(static_cast<std::int64_t>(count_ * sizeof(T)), MemoryKind::buffers)) {
    device.copy(stream, reinterpret_cast<const std::byte*>(values.data()), buffer_.data(), buffer_.bytes());
    stream.synchronize();
  }
  TensorView view() const { return {buffer_.data(), dtype_of<T>, {static_cast<std::int64_t>(count_)}}; }
  TensorView range(std::size_t begin, std::size_t length) const {
    return view().range(static_cast<std::int64_t>(begin), static_cast<std::int64_t>(length));
  }
  /// The values after all work of the stream.
  std::vector<T> values() const {
    std::vector<T> found(count_);
    device_->copy(*stream_, buffer_.data(), reinterpret_cast<std::byte*>(found.data()), buffer_.bytes());
    stream_->synchronize();
    return found;
  }

 private:
  Device* device_;
  Stream* stream_;
  std::size_t count_;
  Buffer buffer_;
};

}  // namespace ferula::test
