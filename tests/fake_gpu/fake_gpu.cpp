// A libferula_cuda.so without CUDA: GPUs that are made up, whose faults a test asks for in the environment variable
// FERULA_FAKE_GPU, as words `fault=value`:
//   gpus=N            the process sees N of them (2)
//   driver=old        the driver is too old for the library
//   memory=MIB        what one of them has
//   launches=GPU:N    on this GPU, what follows N products can no longer be launched
//   nccl=A,B          NCCL's version on GPU 0, and on the others: 22809,22809
//   start=never       groups of NCCL never connect
//   collective=hangs  a collective of NCCL never ends by itself
//   collective=dies   the same, and NCCL then hears that a peer is gone
// Groups of NCCL connect ranks of one process alone (`--ranks-simulated`); without nccl= they are staged.
#include <cstdlib>
#include <map>
#include <set>
#include <sstream>

#include "app/gpu_backend.hpp"
#include "base/error.hpp"
#include "device/out_of_memory.hpp"
#include "support/fake_nccl.hpp"
#include "support/far_device.hpp"
#include "support/far_ops.hpp"

namespace ferula::test {
namespace {

class Faults {
 public:
  Faults() {
    const char* text = std::getenv("FERULA_FAKE_GPU");
    std::istringstream words(text == nullptr ? "" : text);
    for (std::string word; words >> word;) {
      const std::size_t equals = word.find('=');
      FERULA_CHECK(equals != std::string::npos, "FERULA_FAKE_GPU: expected fault=value, found {}", word);
      values_[word.substr(0, equals)] = word.substr(equals + 1);
    }
  }
  std::string text(const std::string& fault, const std::string& otherwise = "") const {
    const auto found = values_.find(fault);
    return found == values_.end() ? otherwise : found->second;
  }
  std::int64_t number(const std::string& fault, std::int64_t otherwise) const {
    return has(fault) ? std::stoll(text(fault)) : otherwise;
  }
  bool has(const std::string& fault) const { return values_.contains(fault); }
  /// The two numbers of "A:B" or "A,B".
  std::pair<std::int64_t, std::int64_t> pair(const std::string& fault) const {
    const std::string both = text(fault);
    return {std::stoll(both), std::stoll(both.substr(both.find_first_of(":,") + 1))};
  }

 private:
  std::map<std::string, std::string> values_;
};

const Faults& faults() {
  static const Faults found;
  return found;
}

/// The streams of a device that live. As cudaFree does, it waits for them before memory goes: an error that unwinds the
/// stack must not take it from under work that was given before.
class LiveStreams {
 public:
  void add(Stream* stream) {
    const std::lock_guard lock(mutex_);
    streams_.insert(stream);
  }
  void remove(Stream* stream) {
    const std::lock_guard lock(mutex_);
    streams_.erase(stream);
  }
  void await() {
    const std::lock_guard lock(mutex_);
    for (Stream* stream : streams_) try {
        stream->synchronize();
      } catch (const std::exception&) {  // is thrown to who asks for the work
      }
  }

 private:
  std::mutex mutex_;
  std::set<Stream*> streams_;
};

class FakeStream final : public Stream {
 public:
  FakeStream(std::unique_ptr<Stream> inner, LiveStreams& live) : inner_(std::move(inner)), live_(&live) {
    live_->add(inner_.get());
  }
  ~FakeStream() override { live_->remove(inner_.get()); }
  Event record() override { return inner_->record(); }
  void wait(Event event) override { inner_->wait(event); }
  void synchronize() override { inner_->synchronize(); }
  void synchronize(std::uint64_t ticket) override { inner_->synchronize(ticket); }

 private:
  void accept(std::function<void()> task) override { inner_->run(std::move(task)); }

  std::unique_ptr<Stream> inner_;
  LiveStreams* live_;
};

class FakeDevice final : public FarDevice {
 public:
  FakeDevice(int index, MemoryLedger& ledger)
      : FarDevice(ledger), index_(index), left_(faults().number("memory", 1 << 20) << 20) {}
  std::string name() const override { return "cuda:" + std::to_string(index_); }
  int index() const { return index_; }

  Buffer allocate(std::int64_t bytes, MemoryKind kind) override {
    if (ledger().current_bytes() + bytes > left_)
      throw_out_of_memory(name(), bytes, kind, ledger(), "of the GPU's memory nothing else is taken");
    return freed_when_idle(FarDevice::allocate(bytes, kind), kind);
  }
  Buffer allocate_shared(std::int64_t bytes, MemoryKind kind) override {
    return freed_when_idle(FarDevice::allocate_shared(bytes, kind), kind);
  }
  std::unique_ptr<Stream> make_stream() override {
    return std::make_unique<FakeStream>(FarDevice::make_stream(), live_);
  }
  std::unique_ptr<Stream> make_side_stream(std::string_view name) override {
    return std::make_unique<FakeStream>(FarDevice::make_side_stream(name), live_);
  }

 private:
  Buffer freed_when_idle(Buffer memory, MemoryKind kind) {
    if (memory.data() == nullptr) return {};
    auto kept = std::make_shared<Buffer>(std::move(memory));  // NOLINT: what a std::function holds must be copyable
    return {kept->data(), kept->bytes(), kind, nullptr, [this, kept](std::byte*, std::int64_t) {
              live_.await();
              kept->reset();
            }};
  }

  LiveStreams live_;
  int index_;
  std::int64_t left_;
};

/// The host's operations, of which one fails where the test asks for it.
class FakeOps final : public FarOps {
 public:
  explicit FakeOps(const FakeDevice& device) : device_(device.name()) {
    if (!faults().has("launches")) return;
    const auto [gpu, launches] = faults().pair("launches");
    if (gpu == device.index()) launches_left_ = launches;
  }
  void linear(Stream& stream, TensorView x, const WeightView& w, TensorView bias, TensorView y,
              Accumulate accumulate) override {
    if (x.count() > kProbe) return;  // of a GPU's rate, which the host would take minutes for
    if (launches_left_ == 0)
      throw DeviceError(device_ + " (Imaginary 9): launch of linear: unspecified launch failure; see the log");
    --launches_left_;
    FarOps::linear(stream, x, w, bias, y, accumulate);
  }

 private:
  static constexpr std::int64_t kProbe = 1 << 22;  // elements
  std::string device_;
  std::int64_t launches_left_ = -1;  // below 0: as many as are wanted
};

/// Of the thread, which is the rank's.
thread_local FakeDevice* device_of_rank = nullptr;

/// The NCCL of the calling rank with its faults.
NcclOpening open_faulty_nccl() {
  if (!faults().has("nccl")) return {nullptr, "the test has none"};
  static FakeNcclWorld world;
  static std::vector<std::unique_ptr<NcclBehaviour>> behaviours;
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  NcclBehaviour& mine = *behaviours.emplace_back(std::make_unique<NcclBehaviour>());
  const auto [first, others] = faults().pair("nccl");
  const int gpu = device_of_rank->index();
  mine.version = static_cast<int>(gpu == 0 ? first : others);
  mine.gpu = fmt::format("Imaginary 9, GPU-{}", gpu);
  mine.never_ready = faults().text("start") == "never";
  mine.hangs = faults().text("collective") != "";
  if (faults().text("collective") == "dies") mine.later_error = "remote process exited or there was a network error";
  return {std::make_unique<FakeNccl>(world, *device_of_rank, gpu, mine), ""};
}

class FakeBackend final : public GpuBackend {
 public:
  std::vector<GpuInfo> gpus() const override {
    if (faults().text("driver") == "old")
      throw DeviceError("looking for GPUs: CUDA driver version is insufficient (cudaErrorInsufficientDriver)");
    std::vector<GpuInfo> found;
    for (int index = 0; index < faults().number("gpus", 2); ++index)
      found.push_back({.index = index,
                       .name = "Imaginary 9",
                       .uuid = fmt::format("GPU-{}", index),
                       .pci = "",
                       .memory_bytes = faults().number("memory", 1 << 20) << 20,
                       .capability_major = 9,
                       .capability_minor = 0});
    return found;
  }
  std::unique_ptr<Device> make_device(int index, MemoryLedger& ledger) const override {
    auto device = std::make_unique<FakeDevice>(index, ledger);
    device_of_rank = device.get();
    return device;
  }
  std::unique_ptr<Ops> make_ops(Device& device, Determinism) const override {
    return std::make_unique<FakeOps>(dynamic_cast<FakeDevice&>(device));
  }
  NcclOpening make_nccl() const override { return open_faulty_nccl(); }
};

}  // namespace
}  // namespace ferula::test

extern "C" __attribute__((visibility("default"))) ferula::GpuEntry ferula_gpu_entry() {
  return {.abi = ferula::kGpuAbi, .make = []() -> std::unique_ptr<ferula::GpuBackend> {
            return std::make_unique<ferula::test::FakeBackend>();
          }};
}
