// Attention over packed sequences: checks the views, finds the sequence of each row, and chooses kernels.
#include "ops/cuda/attention.hpp"

#include "ops/cuda/attention_flash.hpp"
#include "ops/cuda/attention_rows.hpp"
#include "ops/cuda/launch.hpp"

namespace ferula::cuda {
namespace {

void check_heads(const TensorView& view, DType dtype, std::int64_t rows, int heads, int head_dim, const char* name) {
  FERULA_CHECK(view.rank == 3 && view.dtype == dtype && view.dim(0) == rows && view.dim(1) == heads &&
                   view.dim(2) == head_dim && (view.count() == 0 || view.stride(2) == 1),
               "{}: [{}, {}, {}] of {} expected, found [{}, {}, {}] of {}", name, rows, heads, head_dim, name_of(dtype),
               view.dim(0), view.dim(1), view.dim(2), name_of(view.dtype));
}

/// The shape of a call; `bounds` [2, rows] in scratch receives the bounds of each row's sequence.
AttentionShape shape_of(cudaStream_t stream, const AttentionSpec& spec, const TensorView& q, const TensorView& starts,
                        std::int32_t* bounds) {
  const std::int64_t rows = q.dim(0);
  find_sequences(stream, elements<const std::int32_t>(starts), starts.count(), rows, bounds, bounds + rows);
  return {.rows = rows,
          .heads = spec.heads,
          .kv_heads = spec.kv_heads,
          .head_dim = spec.head_dim,
          .scale = spec.scale,
          .begin = bounds,
          .end = bounds + rows};
}

void check_call(const AttentionSpec& spec, const TensorView& q, const TensorView& k, const TensorView& v,
                const TensorView& starts) {
  check_compute_type(q);
  FERULA_CHECK(
      spec.kv_heads >= 1 && spec.heads % spec.kv_heads == 0 && spec.head_dim >= 1 && spec.head_dim <= kMostHeadDim,
      "{} heads over {} key heads of {} elements; at most {}", spec.heads, spec.kv_heads, spec.head_dim, kMostHeadDim);
  FERULA_CHECK(q.dim(0) < 0x7fffffff - 4096 && spec.heads <= 65535, "{} rows of {} heads", q.dim(0), spec.heads);
  FERULA_CHECK(starts.contiguous(), "the sequences' starts do not lie together");
  check_heads(q, q.dtype, q.dim(0), spec.heads, spec.head_dim, "q");
  check_heads(k, q.dtype, q.dim(0), spec.kv_heads, spec.head_dim, "k");
  check_heads(v, q.dtype, q.dim(0), spec.kv_heads, spec.head_dim, "v");
}

template <class T>
Heads<T> heads_of(const TensorView& view) {
  return {elements<T>(view), view.stride(0), view.stride(1)};
}

/// Whether all rows and heads begin at multiples of 16 bytes.
template <class... Views>
bool heads_aligned(const Views&... views) {
  return ((rows_aligned(views, 16) && views.stride(1) * bytes_of(views.dtype) % 16 == 0 &&
           views.dim(2) * bytes_of(views.dtype) % 16 == 0) &&
          ...);
}

template <class T>
AttentionForward<T> forward_call(const AttentionShape& shape, const TensorView& q, const TensorView& k,
                                 const TensorView& v, const TensorView& out, const TensorView& logsumexp) {
  return {.shape = shape,
          .q = heads_of<const T>(q),
          .k = heads_of<const T>(k),
          .v = heads_of<const T>(v),
          .out = heads_of<T>(out),
          .logsumexp = elements<float>(logsumexp),
          .logsumexp_stride = logsumexp.stride(0)};
}

}  // namespace

std::int64_t attention_scratch(const AttentionSpec& spec, std::int64_t rows) {
  return scratch_bytes(2 * rows, sizeof(std::int32_t)) + scratch_bytes(rows * spec.heads, sizeof(float));
}

void attention(Workspace& workspace, FusedCalls& fused, cudaStream_t stream, const AttentionSpec& spec, TensorView q,
               TensorView k, TensorView v, TensorView starts, TensorView out, TensorView logsumexp) {
  const std::int64_t rows = q.dim(0);
  if (rows == 0) return;
  check_call(spec, q, k, v, starts);
  check_heads(out, q.dtype, rows, spec.heads, spec.head_dim, "out");
  if (heads_aligned(q, k, v, out) && fused.forward(workspace, stream, spec, {q, k, v, out, logsumexp}, starts)) return;
  Workspace::Lease scratch = workspace.lease(stream, attention_scratch(spec, rows));
  const AttentionShape shape = shape_of(stream, spec, q, starts, scratch.take<std::int32_t>(2 * rows));
  if (q.dtype == DType::f32)
    plain_attention(stream, forward_call<float>(shape, q, k, v, out, logsumexp));
  else if (heads_aligned(q, k, v, out))
    flash_attention(stream, forward_call<__nv_bfloat16>(shape, q, k, v, out, logsumexp));
  else
    plain_attention(stream, forward_call<__nv_bfloat16>(shape, q, k, v, out, logsumexp));
}

void attention_backward(Workspace& workspace, FusedCalls& fused, cudaStream_t stream, const AttentionSpec& spec,
                        TensorView q, TensorView k, TensorView v, TensorView starts, TensorView out, TensorView dout,
                        TensorView logsumexp, TensorView dq, TensorView dk, TensorView dv) {
  const std::int64_t rows = q.dim(0);
  if (rows == 0) return;
  check_call(spec, q, k, v, starts);
  check_heads(out, q.dtype, rows, spec.heads, spec.head_dim, "out");
  check_heads(dout, q.dtype, rows, spec.heads, spec.head_dim, "dout");
  check_heads(dq, q.dtype, rows, spec.heads, spec.head_dim, "dq");
  check_heads(dk, q.dtype, rows, spec.kv_heads, spec.head_dim, "dk");
  check_heads(dv, q.dtype, rows, spec.kv_heads, spec.head_dim, "dv");
  if (heads_aligned(q, k, v, out, dout, dq, dk, dv) &&
      fused.backward(workspace, stream, spec, {q, k, v, out, logsumexp, dout, dq, dk, dv}, starts))
    return;
  Workspace::Lease scratch = workspace.lease(stream, attention_scratch(spec, rows));
  const AttentionShape shape = shape_of(stream, spec, q, starts, scratch.take<std::int32_t>(2 * rows));
  float* delta = scratch.take<float>(rows * spec.heads);
  with_type(q.dtype, [&](auto type) {
    using T = decltype(type);
    dot_rows<T>(stream, shape, heads_of<const T>(out), heads_of<const T>(dout), heads_aligned(out, dout), delta);
    const AttentionBackward<T> call{.shape = shape,
                                    .q = heads_of<const T>(q),
                                    .k = heads_of<const T>(k),
                                    .v = heads_of<const T>(v),
                                    .dout = heads_of<const T>(dout),
                                    .logsumexp = elements<const float>(logsumexp),
                                    .logsumexp_stride = logsumexp.stride(0),
                                    .delta = delta,
                                    .dq = heads_of<T>(dq),
                                    .dk = heads_of<T>(dk),
                                    .dv = heads_of<T>(dv)};
    if constexpr (!std::is_same_v<T, float>)
      if (heads_aligned(q, k, v, dout, dq, dk, dv)) return flash_attention_backward(stream, call);
    plain_attention_backward(stream, call);
  });
}

}  // namespace ferula::cuda
