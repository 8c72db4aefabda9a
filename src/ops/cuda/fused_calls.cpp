#include "ops/cuda/fused_calls.hpp"

#include "ops/cuda/attention_rows.hpp"
#include "ops/cuda/launch.hpp"

namespace ferula::cuda {
namespace {

constexpr int kHeadStep = 8;                    // elements of 16 bytes
constexpr std::int64_t kMostSequences = 65535;  // of a grid's third side

/// The length of all sequences, where it is one and the host can see it.
std::optional<std::int64_t> one_length(const TensorView& starts, std::int64_t rows) {
  const std::int64_t sequences = starts.count() - 1;
  if (sequences < 1 || sequences > kMostSequences || rows % sequences != 0) return std::nullopt;
  cudaPointerAttributes place{};
  check_cuda(cudaPointerGetAttributes(&place, starts.data), "cudaPointerGetAttributes");
  if (place.type != cudaMemoryTypeHost) return std::nullopt;
  const auto* bounds = static_cast<const std::int32_t*>(place.hostPointer);
  const std::int64_t length = rows / sequences;
  for (std::int64_t sequence = 0; sequence <= sequences; ++sequence)
    if (bounds[sequence] != sequence * length) return std::nullopt;
  return length;
}

HeadStrides strides_of(const TensorView& view) {
  return view.empty() ? HeadStrides{} : HeadStrides{view.stride(0), view.stride(1)};
}

FusedAttentionShape shape_of(AttentionPass pass, const AttentionSpec& spec, std::int64_t length,
                             const AttentionTensors& tensors) {
  return {.pass = pass,
          .sequences = tensors.q.dim(0) / length,
          .length = length,
          .heads = spec.heads,
          .kv_heads = spec.kv_heads,
          .head_dim = spec.head_dim,
          .scale = spec.scale,
          .q = strides_of(tensors.q),
          .k = strides_of(tensors.k),
          .v = strides_of(tensors.v),
          .out = strides_of(tensors.out),
          .dout = strides_of(tensors.dout),
          .dq = strides_of(tensors.dq),
          .dk = strides_of(tensors.dk),
          .dv = strides_of(tensors.dv),
          .logsumexp_stride = pass == AttentionPass::forward ? tensors.logsumexp.stride(0) : 0};
}

FusedAttentionTensors pointers_of(const AttentionTensors& tensors, void* logsumexp) {
  return {.q = tensors.q.data,
          .k = tensors.k.data,
          .v = tensors.v.data,
          .out = tensors.out.data,
          .logsumexp = logsumexp,
          .dout = tensors.dout.data,
          .dq = tensors.dq.data,
          .dk = tensors.dk.data,
          .dv = tensors.dv.data};
}

void require_success(const std::string& problem) {
  if (!problem.empty()) throw DeviceError(fmt::format("fused attention: {}", problem));
}

/// Packed log-sum-exps of the backward pass.
std::int64_t packed_bytes(const AttentionSpec& spec, std::int64_t rows) {
  return scratch_bytes(rows * spec.heads, sizeof(float));
}

}  // namespace

FusedAttention* FusedCalls::library() {
  if (!opened_) {
    library_ = open_fused_attention(why_none_);
    opened_ = true;
  }
  return library_.get();
}

std::optional<std::int64_t> FusedCalls::room(const FusedAttentionShape& shape) {
  FusedAttention* fused = library();
  return fused == nullptr ? std::nullopt : fused->workspace_bytes(shape);
}

std::optional<std::int64_t> FusedCalls::length_of(const AttentionSpec& spec, const AttentionTensors& tensors,
                                                  const TensorView& starts) const {
  if (library_ == nullptr || tensors.q.dtype != DType::bf16 || tensors.logsumexp.empty()) return std::nullopt;
  const std::int64_t rows = tensors.q.dim(0);
  const std::optional<std::int64_t> length = one_length(starts, rows);
  if (!length || !asked_.contains({spec.heads, spec.kv_heads, spec.head_dim, rows, *length})) return std::nullopt;
  return length;
}

bool FusedCalls::forward(Workspace& workspace, cudaStream_t stream, const AttentionSpec& spec,
                         const AttentionTensors& tensors, TensorView starts) {
  const std::optional<std::int64_t> length = length_of(spec, tensors, starts);
  if (!length) return false;
  const FusedAttentionShape shape = shape_of(AttentionPass::forward, spec, *length, tensors);
  const std::optional<std::int64_t> bytes = room(shape);
  if (!bytes) return false;
  Workspace::Lease scratch = workspace.lease(stream, scratch_bytes(*bytes, 1));
  require_success(
      library_->run(stream, shape, pointers_of(tensors, tensors.logsumexp.data), scratch.take<std::byte>(*bytes)));
  return true;
}

bool FusedCalls::backward(Workspace& workspace, cudaStream_t stream, const AttentionSpec& spec,
                          const AttentionTensors& tensors, TensorView starts) {
  const std::int64_t rows = tensors.q.dim(0);
  const std::optional<std::int64_t> length = length_of(spec, tensors, starts);
  if (!length) return false;
  const FusedAttentionShape shape = shape_of(AttentionPass::backward, spec, *length, tensors);
  const std::optional<std::int64_t> bytes = room(shape);
  if (!bytes) return false;
  Workspace::Lease scratch = workspace.lease(stream, packed_bytes(spec, rows) + scratch_bytes(*bytes, 1));
  auto* packed = scratch.take<float>(rows * spec.heads);
  pack_logsumexp(stream, elements<const float>(tensors.logsumexp), tensors.logsumexp.stride(0), shape.sequences,
                 spec.heads, *length, packed);
  require_success(library_->run(stream, shape, pointers_of(tensors, packed), scratch.take<std::byte>(*bytes)));
  return true;
}

std::int64_t FusedCalls::scratch(const AttentionSpec& spec, DType compute, std::int64_t rows, std::int64_t length) {
  if (compute != DType::bf16 || length < 1 || rows % length != 0 || spec.head_dim % kHeadStep != 0) return 0;
  if (determinism_ == Determinism::same_bits) why_none_ = "they give the same bits every time";
  if (determinism_ == Determinism::same_bits || library() == nullptr) {
    words_ = "attention by our own kernels: " + why_none_;
    return 0;
  }
  asked_.insert({spec.heads, spec.kv_heads, spec.head_dim, rows, length});
  const std::int64_t width = static_cast<std::int64_t>(spec.heads) * spec.head_dim;
  const std::int64_t side_by_side = width + std::int64_t{2} * spec.kv_heads * spec.head_dim;
  const HeadStrides joined{side_by_side, spec.head_dim}, alone{width, spec.head_dim};
  FusedAttentionShape shape{.pass = AttentionPass::forward,
                            .sequences = rows / length,
                            .length = length,
                            .heads = spec.heads,
                            .kv_heads = spec.kv_heads,
                            .head_dim = spec.head_dim,
                            .scale = spec.scale,
                            .q = joined,
                            .k = joined,
                            .v = joined,
                            .out = alone,
                            .logsumexp_stride = rows};
  const std::optional<std::int64_t> forward = room(shape);
  shape.pass = AttentionPass::backward;
  shape.dout = alone;
  shape.dq = shape.dk = shape.dv = joined;
  shape.logsumexp_stride = 0;
  const std::optional<std::int64_t> backward = room(shape);
  words_ = forward && backward ? "attention by " + library_->name()
                               : "attention by our own kernels: " + library_->name() + ": " + library_->problem();
  return std::max(scratch_bytes(forward.value_or(0), 1),
                  backward ? packed_bytes(spec, rows) + scratch_bytes(*backward, 1) : 0);
}

}  // namespace ferula::cuda
