// libferula_cudnn.so: attention through cuDNN's graph API. A library of its own, so that the backend starts without
// cuDNN.
#include <cudnn_frontend.h>

#include <map>
#include <memory>
#include <unordered_map>
#include <vector>

#include "ops/cuda/fused_attention.hpp"

namespace ferula::cuda {
namespace {

namespace fe = cudnn_frontend;
using fe::graph::Tensor_attributes;

enum Uid : std::int64_t { kQ = 1, kK, kV, kOut, kLogsumexp, kDout, kDq, kDk, kDv };

/// The graph of one shape, ready to run.
struct Plan {
  fe::graph::Graph graph;
  std::int64_t workspace_bytes = 0;
};

/// Gives tensors of a graph their dimensions [sequences, heads, length, head_dim] and strides.
class Layout {
 public:
  explicit Layout(const FusedAttentionShape& shape) : shape_(shape) {}

  Tensor_attributes input(Uid uid, int heads, const HeadStrides& strides) const {
    Tensor_attributes tensor;
    place(tensor, uid, heads, strides);
    return tensor;
  }
  void output(Tensor_attributes& tensor, Uid uid, int heads, const HeadStrides& strides) const {
    tensor.set_output(true);
    place(tensor, uid, heads, strides);
  }
  /// [heads, rows] as the forward pass writes it.
  void place_written_logsumexp(Tensor_attributes& tensor) const {
    tensor.set_output(true).set_uid(kLogsumexp).set_data_type(fe::DataType_t::FLOAT);
    tensor.set_dim(logsumexp_shape()).set_stride({shape_.length, shape_.logsumexp_stride, 1, 1});
  }
  /// Packed, which all versions of the backward pass read.
  Tensor_attributes packed_logsumexp() const {
    Tensor_attributes tensor;
    tensor.set_uid(kLogsumexp).set_data_type(fe::DataType_t::FLOAT).set_dim(logsumexp_shape());
    tensor.set_stride({shape_.heads * shape_.length, shape_.length, 1, 1});
    return tensor;
  }

 private:
  std::vector<std::int64_t> logsumexp_shape() const { return {shape_.sequences, shape_.heads, shape_.length, 1}; }
  void place(Tensor_attributes& tensor, Uid uid, int heads, const HeadStrides& strides) const {
    tensor.set_uid(uid).set_data_type(fe::DataType_t::BFLOAT16);
    tensor.set_dim({shape_.sequences, heads, shape_.length, shape_.head_dim});
    tensor.set_stride({shape_.length * strides.row, strides.head, strides.row, 1});
  }

  const FusedAttentionShape& shape_;
};

void add_forward(fe::graph::Graph& graph, const FusedAttentionShape& shape) {
  const Layout layout(shape);
  auto options = fe::graph::SDPA_attributes();
  options.set_name("attention").set_generate_stats(true).set_causal_mask(true).set_attn_scale(shape.scale);
  const auto [out, logsumexp] = graph.sdpa(graph.tensor(layout.input(kQ, shape.heads, shape.q)),
                                           graph.tensor(layout.input(kK, shape.kv_heads, shape.k)),
                                           graph.tensor(layout.input(kV, shape.kv_heads, shape.v)), options);
  layout.output(*out, kOut, shape.heads, shape.out);
  layout.place_written_logsumexp(*logsumexp);
}

void add_backward(fe::graph::Graph& graph, const FusedAttentionShape& shape) {
  const Layout layout(shape);
  auto options = fe::graph::SDPA_backward_attributes();
  options.set_name("attention_backward").set_causal_mask(true).set_attn_scale(shape.scale);
  const auto [dq, dk, dv] = graph.sdpa_backward(
      graph.tensor(layout.input(kQ, shape.heads, shape.q)), graph.tensor(layout.input(kK, shape.kv_heads, shape.k)),
      graph.tensor(layout.input(kV, shape.kv_heads, shape.v)), graph.tensor(layout.input(kOut, shape.heads, shape.out)),
      graph.tensor(layout.input(kDout, shape.heads, shape.dout)), graph.tensor(layout.packed_logsumexp()), options);
  layout.output(*dq, kDq, shape.heads, shape.dq);
  layout.output(*dk, kDk, shape.kv_heads, shape.dk);
  layout.output(*dv, kDv, shape.kv_heads, shape.dv);
}

std::string version_in_words() {
  const std::size_t version = cudnnGetVersion();
  return "cuDNN " + std::to_string(version / 10000) + "." + std::to_string(version / 100 % 100) + "." +
         std::to_string(version % 100);
}

class CudnnAttention final : public FusedAttention {
 public:
  explicit CudnnAttention(cudnnHandle_t handle) : handle_(handle) {}
  ~CudnnAttention() override {
    plans_.clear();
    cudnnDestroy(handle_);
  }
  CudnnAttention(const CudnnAttention&) = delete;
  CudnnAttention& operator=(const CudnnAttention&) = delete;

  std::string name() const override { return version_in_words(); }

  std::optional<std::int64_t> workspace_bytes(const FusedAttentionShape& shape) override {
    auto found = plans_.find(shape);
    if (found == plans_.end()) found = plans_.emplace(shape, make_plan(shape)).first;
    if (found->second == nullptr) return std::nullopt;
    return found->second->workspace_bytes;
  }

  const std::string& problem() const override { return problem_; }

  std::string run(cudaStream_t stream, const FusedAttentionShape& shape, const FusedAttentionTensors& tensors,
                  void* workspace) override {
    if (cudnnSetStream(handle_, stream) != CUDNN_STATUS_SUCCESS) return "cudnnSetStream failed";
    std::unordered_map<std::int64_t, void*> pointers = {
        {kQ, tensors.q}, {kK, tensors.k}, {kV, tensors.v}, {kOut, tensors.out}, {kLogsumexp, tensors.logsumexp}};
    if (shape.pass == AttentionPass::backward)
      pointers.insert({{kDout, tensors.dout}, {kDq, tensors.dq}, {kDk, tensors.dk}, {kDv, tensors.dv}});
    auto status = plans_.at(shape)->graph.execute(handle_, pointers, workspace);
    return status.is_good() ? std::string() : status.get_message();
  }

 private:
  /// Null where cuDNN has no kernels for the shape.
  std::unique_ptr<Plan> make_plan(const FusedAttentionShape& shape) {
    auto plan = std::make_unique<Plan>();
    plan->graph.set_io_data_type(fe::DataType_t::BFLOAT16)
        .set_intermediate_data_type(fe::DataType_t::FLOAT)
        .set_compute_data_type(fe::DataType_t::FLOAT);
    shape.pass == AttentionPass::forward ? add_forward(plan->graph, shape) : add_backward(plan->graph, shape);
    auto status = plan->graph.build(handle_, {fe::HeurMode_t::A});
    if (status.is_good()) status = plan->graph.get_workspace_size(plan->workspace_bytes);
    if (status.is_good()) return plan;
    problem_ = status.get_message();
    return nullptr;
  }

  cudnnHandle_t handle_;
  std::string problem_;
  std::map<FusedAttentionShape, std::unique_ptr<Plan>> plans_;
};

}  // namespace

extern "C" __attribute__((visibility("default"))) FusedAttention* ferula_fused_attention(int abi, std::string& why) {
  if (abi != kFusedAttentionAbi) {
    why = "libferula_cudnn.so is of another build";
    return nullptr;
  }
  cudnnHandle_t handle = nullptr;
  if (const cudnnStatus_t status = cudnnCreate(&handle); status != CUDNN_STATUS_SUCCESS) {
    why = version_in_words() + ": " + cudnnGetErrorString(status);
    return nullptr;
  }
  return std::make_unique<CudnnAttention>(handle).release();
}

}  // namespace ferula::cuda
