// libferula_timeline.so: writes what a program's GPU did when. The driver loads it into any program that is started
// with
//   CUDA_INJECTION64_PATH=…/libferula_timeline.so FERULA_TIMELINE=FILE
// At the program's end FILE holds the text of timeline.hpp; "%p" in it stands for the number of the process, so that
// the processes of one run do not write over each other.
#include <cupti.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <mutex>

#include "timeline.hpp"

namespace ferula::gpu_test {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{8} << 20;
constexpr std::size_t kAlignment = 8;
/// Finished records are handed over as often as this, so that little is lost where the driver ends before the program.
constexpr std::uint32_t kFlushPeriod_ms = 500;

void complain(const char* call, CUptiResult status) {
  if (status == CUPTI_SUCCESS) return;
  const char* words = nullptr;
  cuptiGetResultString(status, &words);
  std::fprintf(stderr, "libferula_timeline.so: %s failed: %s\n", call, words == nullptr ? "no reason given" : words);
}

class Recorder {
 public:
  /// Is never destroyed: CUPTI may still call at the very end of the program.
  static Recorder& instance() {
    static auto* recorder = new Recorder;
    return *recorder;
  }

  void take(std::uint8_t* buffer, std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    CUpti_Activity* record = nullptr;
    while (cuptiActivityGetNextRecord(buffer, bytes, &record) == CUPTI_SUCCESS) add(*record);
  }

  void write() {
    const char* wanted = std::getenv("FERULA_TIMELINE");
    std::string path = wanted == nullptr ? "timeline-%p.txt" : wanted;
    if (const std::size_t at = path.find("%p"); at != std::string::npos) path.replace(at, 2, std::to_string(getpid()));
    const std::lock_guard lock(mutex_);
    if (activities_.empty()) return;
    std::FILE* file = std::fopen(path.c_str(), "w");
    if (file == nullptr) {
      std::fprintf(stderr, "libferula_timeline.so: cannot write %s\n", path.c_str());
      return;
    }
    std::fputs(
        text_of(look_at(std::move(activities_), {.first = "embed_kernel", .update = "optimizer_kernel"})).c_str(),
        file);
    std::fclose(file);
  }

 private:
  /// The first members of kernels' records lie alike in all versions of CUPTI since 11.6.
  void add(const CUpti_Activity& record) {
    if (record.kind == CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL) {
      const auto& kernel = reinterpret_cast<const CUpti_ActivityKernel9&>(record);
      activities_.push_back({kernel.name, kernel.start, kernel.end, work_of_kernel(kernel.name)});
    } else if (record.kind == CUPTI_ACTIVITY_KIND_MEMCPY) {
      const auto& copy = reinterpret_cast<const CUpti_ActivityMemcpy5&>(record);
      activities_.push_back({name_of_copy(copy.copyKind), copy.start, copy.end, Work::copy});
    } else if (record.kind == CUPTI_ACTIVITY_KIND_MEMSET) {
      const auto& set = reinterpret_cast<const CUpti_ActivityMemset4&>(record);
      activities_.push_back({"memory set", set.start, set.end, Work::compute});
    }
  }

  static std::string name_of_copy(std::uint8_t kind) {
    if (kind == CUPTI_ACTIVITY_MEMCPY_KIND_HTOD) return "copy to the GPU";
    if (kind == CUPTI_ACTIVITY_MEMCPY_KIND_DTOH) return "copy to the host";
    if (kind == CUPTI_ACTIVITY_MEMCPY_KIND_DTOD) return "copy within the GPU";
    return "copy of another kind";
  }

  std::mutex mutex_;
  std::vector<GpuActivity> activities_;
};

void CUPTIAPI give_buffer(std::uint8_t** buffer, std::size_t* bytes, std::size_t* most_records) {
  *buffer = static_cast<std::uint8_t*>(std::aligned_alloc(kAlignment, kBufferBytes));
  *bytes = *buffer == nullptr ? 0 : kBufferBytes;
  *most_records = 0;
}

void CUPTIAPI take_buffer(CUcontext, std::uint32_t, std::uint8_t* buffer, std::size_t, std::size_t valid_bytes) {
  if (valid_bytes > 0) Recorder::instance().take(buffer, valid_bytes);
  std::free(buffer);
}

void finish() {
  complain("cuptiActivityFlushAll", cuptiActivityFlushAll(CUPTI_ACTIVITY_FLAG_FLUSH_FORCED));
  Recorder::instance().write();
}

}  // namespace
}  // namespace ferula::gpu_test

/// The driver calls it once, when the program first uses the GPU.
extern "C" __attribute__((visibility("default"))) int InitializeInjection() {
  using namespace ferula::gpu_test;
  complain("cuptiActivityRegisterCallbacks", cuptiActivityRegisterCallbacks(give_buffer, take_buffer));
  for (const CUpti_ActivityKind kind :
       {CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL, CUPTI_ACTIVITY_KIND_MEMCPY, CUPTI_ACTIVITY_KIND_MEMSET})
    complain("cuptiActivityEnable", cuptiActivityEnable(kind));
  complain("cuptiActivityFlushPeriod", cuptiActivityFlushPeriod(kFlushPeriod_ms));
  std::atexit(finish);
  return 1;
}
