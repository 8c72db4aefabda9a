// Every operation as the plainest loops with double sums: the oracle of all backends and the backend of other tests.
#pragma once

#include <memory>

#include "ops/ops.hpp"

namespace ferula::test {

/// Answers to the contracts of ops/ops.hpp. Views of T may also be f64: then a call is exact enough to differentiate.
class ReferenceOps final : public Ops {
 public:
  void linear(Stream&, TensorView x, const WeightView& w, TensorView bias, TensorView y, Accumulate) override;
  void linear_backward_input(Stream&, TensorView dy, const WeightView& w, TensorView dx, Accumulate) override;
  void linear_backward_weight(Stream&, TensorView x, TensorView dy, TensorView dw, Accumulate accumulate,
                              TensorView dbias) override;
  /// Always null: the reference uses weights as they lie.
  std::unique_ptr<PreparedWeight> make_prepared(std::int64_t out, std::int64_t in, DType dtype) override;

  void embed(Stream&, TensorView token, TensorView position, TensorView table, TensorView positions,
             TensorView y) override;
  void embed_backward(Stream&, TensorView token, TensorView position, TensorView dy, TensorView dtable,
                      TensorView dpositions) override;

  void residual_norm(Stream&, const NormSpec&, TensorView residual, TensorView delta, TensorView weight,
                     TensorView bias, TensorView y, TensorView statistics) override;
  void norm_backward(Stream&, const NormSpec&, TensorView dy, TensorView x, TensorView weight, TensorView statistics,
                     TensorView dx, Accumulate, TensorView dweight, TensorView dbias) override;
  void gelu(Stream&, TensorView x, TensorView y) override;
  void gelu_backward(Stream&, TensorView x, TensorView dy, TensorView dx) override;
  void swiglu(Stream&, TensorView gate_up, TensorView y) override;
  void swiglu_backward(Stream&, TensorView gate_up, TensorView dy, TensorView dgate_up) override;
  void rotary(Stream&, TensorView x, TensorView position, float theta, RotaryDirection) override;
  void dropout(Stream&, const DropoutSpec&, TensorView x) override;
  void add(Stream&, TensorView x, TensorView y) override;
  void copy(Stream&, TensorView from, TensorView to) override;
  void fill(Stream&, TensorView x, float value) override;
  void gather_rows(Stream&, TensorView x, TensorView row, TensorView y) override;

  void attention(Stream&, const AttentionSpec&, TensorView q, TensorView k, TensorView v, TensorView starts,
                 TensorView out, TensorView logsumexp) override;
  void attention_backward(Stream&, const AttentionSpec&, TensorView q, TensorView k, TensorView v, TensorView starts,
                          TensorView out, TensorView dout, TensorView logsumexp, TensorView dq, TensorView dk,
                          TensorView dv) override;
  void cache_append(Stream&, TensorView k, TensorView v, TensorView slot, TensorView position, TensorView k_cache,
                    TensorView v_cache) override;
  void attention_cached(Stream&, const AttentionSpec&, TensorView q, TensorView k_cache, TensorView v_cache,
                        TensorView slot, TensorView position, TensorView out) override;

  void cross_entropy(Stream&, TensorView logits, TensorView target, std::int64_t vocabulary, float scale,
                     TensorView losses, TensorView dlogits) override;

  void sum_of_squares(Stream&, TensorView x, TensorView total) override;
  void optimizer_update(Stream&, const OptimizerRule&, TensorView scalars, const OptimizerRange&) override;
  void fill_normal(Stream&, TensorView x, std::uint64_t key, std::int64_t first, float std) override;

  /// The reference takes no memory from a device.
  ScratchBytes linear_scratch(const LinearShape&) override { return {}; }
  ScratchBytes norm_backward_scratch(std::int64_t, std::int64_t) override { return {}; }
  ScratchBytes attention_scratch(const AttentionSpec&, DType, std::int64_t, std::int64_t) override { return {}; }
};

std::unique_ptr<Ops> make_reference_ops();

}  // namespace ferula::test
