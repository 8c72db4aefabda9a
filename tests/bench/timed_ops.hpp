// Operations that note what each call of them took, computed and touched: the rows of the table of a step.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "ops/ops.hpp"

namespace ferula::bench {

/// All calls of one operation; of products those of one shape.
struct OpRecord {
  std::int64_t calls = 0;
  double seconds = 0;
  double flops = 0;  // on paper: an exponential or a tanh is one
  double bytes = 0;  // that the operands have: read or written at least
};

/// The same results as the operations inside. Only for the CPU, where a call has ended when it returns.
class TimedOps final : public Ops {
 public:
  explicit TimedOps(std::unique_ptr<Ops> inner) : inner_(std::move(inner)) {}

  /// Since the last call of `reset`.
  const std::map<std::string, OpRecord>& records() const { return records_; }
  void reset() { records_.clear(); }

  void linear(Stream& stream, TensorView x, const WeightView& w, TensorView bias, TensorView y,
              Accumulate accumulate) override;
  void linear_backward_input(Stream& stream, TensorView dy, const WeightView& w, TensorView dx,
                             Accumulate accumulate) override;
  void linear_backward_weight(Stream& stream, TensorView x, TensorView dy, TensorView dw, Accumulate accumulate,
                              TensorView dbias) override;
  std::unique_ptr<PreparedWeight> make_prepared(std::int64_t out, std::int64_t in, DType dtype) override;
  void embed(Stream& stream, TensorView token, TensorView position, TensorView table, TensorView positions,
             TensorView y) override;
  void embed_backward(Stream& stream, TensorView token, TensorView position, TensorView dy, TensorView dtable,
                      TensorView dpositions) override;
  void residual_norm(Stream& stream, const NormSpec& spec, TensorView residual, TensorView delta, TensorView weight,
                     TensorView bias, TensorView y, TensorView statistics) override;
  void norm_backward(Stream& stream, const NormSpec& spec, TensorView dy, TensorView x, TensorView weight,
                     TensorView statistics, TensorView dx, Accumulate accumulate, TensorView dweight,
                     TensorView dbias) override;
  void gelu(Stream& stream, TensorView x, TensorView y) override;
  void gelu_backward(Stream& stream, TensorView x, TensorView dy, TensorView dx) override;
  void swiglu(Stream& stream, TensorView gate_up, TensorView y) override;
  void swiglu_backward(Stream& stream, TensorView gate_up, TensorView dy, TensorView dgate_up) override;
  void rotary(Stream& stream, TensorView x, TensorView position, float theta, RotaryDirection direction) override;
  void dropout(Stream& stream, const DropoutSpec& spec, TensorView x) override;
  void add(Stream& stream, TensorView x, TensorView y) override;
  void copy(Stream& stream, TensorView from, TensorView to) override;
  void fill(Stream& stream, TensorView x, float value) override;
  void gather_rows(Stream& stream, TensorView x, TensorView row, TensorView y) override;
  void attention(Stream& stream, const AttentionSpec& spec, TensorView q, TensorView k, TensorView v, TensorView starts,
                 TensorView out, TensorView logsumexp) override;
  void attention_backward(Stream& stream, const AttentionSpec& spec, TensorView q, TensorView k, TensorView v,
                          TensorView starts, TensorView out, TensorView dout, TensorView logsumexp, TensorView dq,
                          TensorView dk, TensorView dv) override;
  void cache_append(Stream& stream, TensorView k, TensorView v, TensorView slot, TensorView position,
                    TensorView k_cache, TensorView v_cache) override;
  void attention_cached(Stream& stream, const AttentionSpec& spec, TensorView q, TensorView k_cache, TensorView v_cache,
                        TensorView slot, TensorView position, TensorView out) override;
  void cross_entropy(Stream& stream, TensorView logits, TensorView target, std::int64_t vocabulary, float scale,
                     TensorView losses, TensorView dlogits) override;
  void sum_of_squares(Stream& stream, TensorView x, TensorView total) override;
  void optimizer_update(Stream& stream, const OptimizerRule& rule, TensorView scalars,
                        const OptimizerRange& range) override;
  void fill_normal(Stream& stream, TensorView x, std::uint64_t key, std::int64_t first, float std) override;
  ScratchBytes linear_scratch(const LinearShape& shape) override { return inner_->linear_scratch(shape); }
  ScratchBytes norm_backward_scratch(std::int64_t rows, std::int64_t width) override {
    return inner_->norm_backward_scratch(rows, width);
  }
  ScratchBytes attention_scratch(const AttentionSpec& spec, DType compute, std::int64_t rows,
                                 std::int64_t length) override {
    return inner_->attention_scratch(spec, compute, rows, length);
  }
  std::string kernels_in_words() override { return inner_->kernels_in_words(); }

 private:
  template <class Call>
  void note(const std::string& name, double flops, double bytes, const Call& call);

  std::unique_ptr<Ops> inner_;
  std::map<std::string, OpRecord> records_;
};

}  // namespace ferula::bench
