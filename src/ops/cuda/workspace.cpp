#include "ops/cuda/workspace.hpp"

namespace ferula::cuda {
namespace {

constexpr std::int64_t kAlignment = 256;

std::int64_t aligned(std::int64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

}  // namespace

std::int64_t scratch_bytes(std::int64_t count, std::int64_t bytes) { return aligned(count * bytes); }

Workspace::Workspace(Device& device) : device_(&device) {}

Workspace::~Workspace() {
  if (used_until_ != nullptr) cudaEventDestroy(used_until_);  // a failure here has been told by what came before
}

/// The old block may still be read by kernels that were given to a stream.
void Workspace::grow(std::int64_t bytes) {
  if (buffer_.bytes() >= bytes) return;
  if (was_used_) check_cuda(cudaEventSynchronize(used_until_), "cudaEventSynchronize");
  buffer_.reset();
  buffer_ = device_->allocate(bytes, MemoryKind::buffers);
}

Workspace::Lease::Lease(Workspace& workspace, cudaStream_t stream, std::int64_t bytes)
    : workspace_(&workspace), lock_(workspace.mutex_), stream_(stream) {
  if (workspace.used_until_ == nullptr)
    check_cuda(cudaEventCreateWithFlags(&workspace.used_until_, cudaEventDisableTiming), "cudaEventCreateWithFlags");
  workspace.grow(bytes);
  if (workspace.was_used_ && workspace.last_stream_ != stream)
    check_cuda(cudaStreamWaitEvent(stream, workspace.used_until_, 0), "cudaStreamWaitEvent");
}

Workspace::Lease::~Lease() {
  workspace_->last_stream_ = stream_;
  workspace_->was_used_ = cudaEventRecord(workspace_->used_until_, stream_) == cudaSuccess;
}

std::byte* Workspace::Lease::take_bytes(std::int64_t bytes) {
  std::byte* place = workspace_->buffer_.data() + used_;
  used_ += aligned(bytes);
  FERULA_CHECK(used_ <= aligned(workspace_->buffer_.bytes()), "scratch of {} bytes where {} were planned", used_,
               workspace_->buffer_.bytes());
  return place;
}

}  // namespace ferula::cuda
