// Gives each operation of the interface to the CUDA stream.
#include "ops/cuda/cuda_ops.hpp"

#include <cuda_runtime_api.h>

#include "device/cuda/cuda_stream.hpp"
#include "ops/cuda/activation.hpp"
#include "ops/cuda/attention.hpp"
#include "ops/cuda/column_sums.hpp"
#include "ops/cuda/cross_entropy.hpp"
#include "ops/cuda/elementwise.hpp"
#include "ops/cuda/embedding.hpp"
#include "ops/cuda/norm.hpp"
#include "ops/cuda/optimizer.hpp"
#include "ops/cuda/products.hpp"
#include "ops/cuda/random.hpp"
#include "ops/cuda/rotary.hpp"

namespace ferula {
namespace {

int attribute_of_current_gpu(cudaDeviceAttr attribute) {
  int device = 0, value = 0;
  check_cuda(cudaGetDevice(&device), "cudaGetDevice");
  check_cuda(cudaDeviceGetAttribute(&value, attribute, device), "cudaDeviceGetAttribute");
  return value;
}

class CudaOps final : public Ops {
 public:
  CudaOps(Device& device, Determinism determinism)
      : multiprocessors_(attribute_of_current_gpu(cudaDevAttrMultiProcessorCount)),
        loss_gpu_{multiprocessors_, attribute_of_current_gpu(cudaDevAttrMaxSharedMemoryPerMultiprocessor),
                  attribute_of_current_gpu(cudaDevAttrL2CacheSize)},
        workspace_(device),
        fused_(determinism),
        matmul_(device, determinism) {}

  void linear(Stream& stream, TensorView x, const WeightView& w, TensorView bias, TensorView y,
              Accumulate accumulate) override {
    cuda::linear(matmul_, native_stream(stream), x, w.values, bias, y, accumulate);
  }
  void linear_backward_input(Stream& stream, TensorView dy, const WeightView& w, TensorView dx,
                             Accumulate accumulate) override {
    cuda::linear_backward_input(matmul_, native_stream(stream), dy, w.values, dx, accumulate);
  }
  void linear_backward_weight(Stream& stream, TensorView x, TensorView dy, TensorView dw, Accumulate accumulate,
                              TensorView dbias) override {
    cuda::linear_backward_weight(matmul_, workspace_, multiprocessors_, native_stream(stream), x, dy, dw, accumulate,
                                 dbias);
  }
  /// Null: the library reads weights as they lie.
  std::unique_ptr<PreparedWeight> make_prepared(std::int64_t, std::int64_t, DType) override { return nullptr; }

  void embed(Stream& stream, TensorView token, TensorView position, TensorView table, TensorView positions,
             TensorView y) override {
    cuda::embed(native_stream(stream), token, position, table, positions, y);
  }
  void embed_backward(Stream& stream, TensorView token, TensorView position, TensorView dy, TensorView dtable,
                      TensorView dpositions) override {
    cuda::embed_backward(workspace_, native_stream(stream), token, position, dy, dtable, dpositions);
  }

  void residual_norm(Stream& stream, const NormSpec& spec, TensorView residual, TensorView delta, TensorView weight,
                     TensorView bias, TensorView y, TensorView statistics) override {
    cuda::residual_norm(multiprocessors_, native_stream(stream), spec, residual, delta, weight, bias, y, statistics);
  }
  void norm_backward(Stream& stream, const NormSpec& spec, TensorView dy, TensorView x, TensorView weight,
                     TensorView statistics, TensorView dx, Accumulate accumulate, TensorView dweight,
                     TensorView dbias) override {
    cuda::norm_backward(workspace_, multiprocessors_, native_stream(stream), spec, dy, x, weight, statistics, dx,
                        accumulate, dweight, dbias);
  }
  void gelu(Stream& stream, TensorView x, TensorView y) override { cuda::gelu(native_stream(stream), x, y); }
  void gelu_backward(Stream& stream, TensorView x, TensorView dy, TensorView dx) override {
    cuda::gelu_backward(native_stream(stream), x, dy, dx);
  }
  void linear_gelu(Stream& stream, TensorView x, const WeightView& w, TensorView bias, TensorView hidden,
                   TensorView y) override {
    cuda::linear_gelu(matmul_, native_stream(stream), x, w.values, bias, hidden, y);
  }
  void linear_gelu_backward(Stream& stream, TensorView dy, const WeightView& w, TensorView hidden,
                            TensorView dhidden) override {
    cuda::linear_gelu_backward(matmul_, native_stream(stream), dy, w.values, hidden, dhidden);
  }
  void swiglu(Stream& stream, TensorView gate_up, TensorView y) override {
    cuda::swiglu(native_stream(stream), gate_up, y);
  }
  void swiglu_backward(Stream& stream, TensorView gate_up, TensorView dy, TensorView dgate_up) override {
    cuda::swiglu_backward(native_stream(stream), gate_up, dy, dgate_up);
  }
  void rotary(Stream& stream, TensorView x, TensorView position, float theta, RotaryDirection direction) override {
    cuda::rotary(native_stream(stream), x, position, theta, direction);
  }
  void dropout(Stream& stream, const DropoutSpec& spec, TensorView x) override {
    cuda::dropout(native_stream(stream), spec, x);
  }
  void add(Stream& stream, TensorView x, TensorView y) override { cuda::add(native_stream(stream), x, y); }
  void copy(Stream& stream, TensorView from, TensorView to) override { cuda::copy(native_stream(stream), from, to); }
  void fill(Stream& stream, TensorView x, float value) override { cuda::fill(native_stream(stream), x, value); }
  void gather_rows(Stream& stream, TensorView x, TensorView row, TensorView y) override {
    cuda::gather_rows(native_stream(stream), x, row, y);
  }

  void attention(Stream& stream, const AttentionSpec& spec, TensorView q, TensorView k, TensorView v, TensorView starts,
                 TensorView out, TensorView logsumexp) override {
    cuda::attention(workspace_, fused_, native_stream(stream), spec, q, k, v, starts, out, logsumexp);
  }
  void attention_backward(Stream& stream, const AttentionSpec& spec, TensorView q, TensorView k, TensorView v,
                          TensorView starts, TensorView out, TensorView dout, TensorView logsumexp, TensorView dq,
                          TensorView dk, TensorView dv) override {
    cuda::attention_backward(workspace_, fused_, native_stream(stream), spec, q, k, v, starts, out, dout, logsumexp, dq,
                             dk, dv);
  }
  void cache_append(Stream& stream, TensorView k, TensorView v, TensorView slot, TensorView position,
                    TensorView k_cache, TensorView v_cache) override {
    cuda::cache_append(native_stream(stream), k, v, slot, position, k_cache, v_cache);
  }
  void attention_cached(Stream& stream, const AttentionSpec& spec, TensorView q, TensorView k_cache, TensorView v_cache,
                        TensorView slot, TensorView position, TensorView out) override {
    cuda::attention_cached(workspace_, multiprocessors_, native_stream(stream), spec, q, k_cache, v_cache, slot,
                           position, out);
  }

  void cross_entropy(Stream& stream, TensorView logits, TensorView target, std::int64_t vocabulary, float scale,
                     TensorView losses, TensorView dlogits) override {
    cuda::cross_entropy(native_stream(stream), loss_gpu_, logits, target, vocabulary, scale, losses, dlogits);
  }

  void sum_of_squares(Stream& stream, TensorView x, TensorView total) override {
    cuda::sum_of_squares(workspace_, native_stream(stream), x, total);
  }
  void optimizer_update(Stream& stream, const OptimizerRule& rule, TensorView scalars,
                        const OptimizerRange& range) override {
    cuda::optimizer_update(multiprocessors_, native_stream(stream), rule, scalars, range);
  }
  void fill_normal(Stream& stream, TensorView x, std::uint64_t key, std::int64_t first, float std) override {
    cuda::fill_normal(native_stream(stream), x, key, first, std);
  }

  ScratchBytes linear_scratch(const LinearShape& shape) override {
    const bool sums_columns = shape.bias.has_value();
    return {.own = sums_columns ? cuda::column_sums_scratch(multiprocessors_, shape.rows, shape.out) : 0,
            .library = cuda::Matmul::kWorkspaceBytes};
  }
  ScratchBytes norm_backward_scratch(std::int64_t rows, std::int64_t width) override {
    return {.own = cuda::norm_backward_scratch(multiprocessors_, rows, width)};
  }
  ScratchBytes attention_scratch(const AttentionSpec& spec, DType compute, std::int64_t rows,
                                 std::int64_t length) override {
    return {.own = std::max({cuda::attention_scratch(spec, rows), fused_.scratch(spec, compute, rows, length),
                             cuda::attention_cached_scratch(multiprocessors_, spec)})};
  }

  std::string kernels_in_words() override { return fused_.in_words(); }

 private:
  int multiprocessors_;
  cuda::LossGpu loss_gpu_;
  cuda::Workspace workspace_;
  cuda::FusedCalls fused_;
  cuda::Matmul matmul_;
};

}  // namespace

std::unique_ptr<Ops> make_cuda_ops(Device& device, Determinism determinism) {
  FERULA_CHECK(device.kind() == DeviceKind::cuda, "CUDA operations on {}", device.name());
  return std::make_unique<CudaOps>(device, determinism);
}

}  // namespace ferula
