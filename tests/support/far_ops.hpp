// The CPU's operations as those of a FarDevice: they alone reach its memory.
#pragma once

#include <memory>
#include <utility>

#include "ops/ops.hpp"
#include "support/far_device.hpp"

namespace ferula::test {

/// Same bits as the CPU's operations. Operands may lie in far memory or in the host's.
class FarOps : public Ops {
 private:
  static TensorView near(const TensorView& view) { return FarDevice::near(view); }

  /// Of an operand for which ordinary memory of the host would be a mistake that a GPU answers with a fault.
  static TensorView far_only(const TensorView& view) {
    FERULA_CHECK(view.empty() || FarDevice::is_far(view.data), "an operation on memory that a GPU does not reach");
    return near(view);
  }

  static WeightView near(WeightView weight) {
    weight.values = near(weight.values);
    weight.scales = near(weight.scales);
    return weight;
  }

  static DropoutSpec near(DropoutSpec spec) {
    for (TensorView* view : {&spec.step, &spec.sample, &spec.position}) *view = near(*view);
    return spec;
  }

  static OptimizerRange near(OptimizerRange range) {
    for (TensorView* view : {&range.gradient, &range.master, &range.value, &range.moment1, &range.moment2})
      *view = far_only(*view);
    return range;
  }

 public:
  void linear(Stream& stream, TensorView x, const WeightView& w, TensorView bias, TensorView y,
              Accumulate accumulate) override {
    inner_->linear(stream, near(x), near(w), near(bias), near(y), accumulate);
  }
  void linear_backward_input(Stream& stream, TensorView dy, const WeightView& w, TensorView dx,
                             Accumulate accumulate) override {
    inner_->linear_backward_input(stream, near(dy), near(w), near(dx), accumulate);
  }
  void linear_backward_weight(Stream& stream, TensorView x, TensorView dy, TensorView dw, Accumulate accumulate,
                              TensorView dbias) override {
    inner_->linear_backward_weight(stream, near(x), near(dy), near(dw), accumulate, near(dbias));
  }
  std::unique_ptr<PreparedWeight> make_prepared(std::int64_t out, std::int64_t in, DType dtype) override {
    return inner_->make_prepared(out, in, dtype);
  }
  void embed(Stream& stream, TensorView token, TensorView position, TensorView table, TensorView positions,
             TensorView y) override {
    inner_->embed(stream, near(token), near(position), near(table), near(positions), near(y));
  }
  void embed_backward(Stream& stream, TensorView token, TensorView position, TensorView dy, TensorView dtable,
                      TensorView dpositions) override {
    inner_->embed_backward(stream, near(token), near(position), near(dy), near(dtable), near(dpositions));
  }
  void residual_norm(Stream& stream, const NormSpec& spec, TensorView residual, TensorView delta, TensorView weight,
                     TensorView bias, TensorView y, TensorView statistics) override {
    inner_->residual_norm(stream, spec, near(residual), near(delta), near(weight), near(bias), near(y),
                          near(statistics));
  }
  void norm_backward(Stream& stream, const NormSpec& spec, TensorView dy, TensorView x, TensorView weight,
                     TensorView statistics, TensorView dx, Accumulate accumulate, TensorView dweight,
                     TensorView dbias) override {
    inner_->norm_backward(stream, spec, near(dy), near(x), near(weight), near(statistics), near(dx), accumulate,
                          near(dweight), near(dbias));
  }
  void gelu(Stream& stream, TensorView x, TensorView y) override { inner_->gelu(stream, near(x), near(y)); }
  void gelu_backward(Stream& stream, TensorView x, TensorView dy, TensorView dx) override {
    inner_->gelu_backward(stream, near(x), near(dy), near(dx));
  }
  void swiglu(Stream& stream, TensorView gate_up, TensorView y) override {
    inner_->swiglu(stream, near(gate_up), near(y));
  }
  void swiglu_backward(Stream& stream, TensorView gate_up, TensorView dy, TensorView dgate_up) override {
    inner_->swiglu_backward(stream, near(gate_up), near(dy), near(dgate_up));
  }
  void rotary(Stream& stream, TensorView x, TensorView position, float theta, RotaryDirection direction) override {
    inner_->rotary(stream, near(x), near(position), theta, direction);
  }
  void dropout(Stream& stream, const DropoutSpec& spec, TensorView x) override {
    inner_->dropout(stream, near(spec), near(x));
  }
  void add(Stream& stream, TensorView x, TensorView y) override { inner_->add(stream, near(x), near(y)); }
  void copy(Stream& stream, TensorView from, TensorView to) override { inner_->copy(stream, near(from), near(to)); }
  void fill(Stream& stream, TensorView x, float value) override { inner_->fill(stream, far_only(x), value); }
  void gather_rows(Stream& stream, TensorView x, TensorView row, TensorView y) override {
    inner_->gather_rows(stream, near(x), near(row), near(y));
  }
  void attention(Stream& stream, const AttentionSpec& spec, TensorView q, TensorView k, TensorView v, TensorView starts,
                 TensorView out, TensorView logsumexp) override {
    inner_->attention(stream, spec, near(q), near(k), near(v), near(starts), near(out), near(logsumexp));
  }
  void attention_backward(Stream& stream, const AttentionSpec& spec, TensorView q, TensorView k, TensorView v,
                          TensorView starts, TensorView out, TensorView dout, TensorView logsumexp, TensorView dq,
                          TensorView dk, TensorView dv) override {
    inner_->attention_backward(stream, spec, near(q), near(k), near(v), near(starts), near(out), near(dout),
                               near(logsumexp), near(dq), near(dk), near(dv));
  }
  void cache_append(Stream& stream, TensorView k, TensorView v, TensorView slot, TensorView position,
                    TensorView k_cache, TensorView v_cache) override {
    inner_->cache_append(stream, near(k), near(v), near(slot), near(position), near(k_cache), near(v_cache));
  }
  void attention_cached(Stream& stream, const AttentionSpec& spec, TensorView q, TensorView k_cache, TensorView v_cache,
                        TensorView slot, TensorView position, TensorView out) override {
    inner_->attention_cached(stream, spec, near(q), near(k_cache), near(v_cache), near(slot), near(position),
                             near(out));
  }
  void cross_entropy(Stream& stream, TensorView logits, TensorView target, std::int64_t vocabulary, float scale,
                     TensorView losses, TensorView dlogits) override {
    inner_->cross_entropy(stream, near(logits), near(target), vocabulary, scale, near(losses), near(dlogits));
  }
  void sum_of_squares(Stream& stream, TensorView x, TensorView total) override {
    inner_->sum_of_squares(stream, near(x), near(total));
  }
  void optimizer_update(Stream& stream, const OptimizerRule& rule, TensorView scalars,
                        const OptimizerRange& range) override {
    inner_->optimizer_update(stream, rule, near(scalars), near(range));
  }
  void fill_normal(Stream& stream, TensorView x, std::uint64_t key, std::int64_t first, float std) override {
    inner_->fill_normal(stream, far_only(x), key, first, std);
  }
  ScratchBytes linear_scratch(const LinearShape& shape) override { return inner_->linear_scratch(shape); }
  ScratchBytes norm_backward_scratch(std::int64_t rows, std::int64_t width) override {
    return inner_->norm_backward_scratch(rows, width);
  }
  ScratchBytes attention_scratch(const AttentionSpec& spec, DType compute, std::int64_t rows,
                                 std::int64_t length) override {
    return inner_->attention_scratch(spec, compute, rows, length);
  }

 private:
  MemoryLedger ledger_;  // of the scratch, which lies near
  std::unique_ptr<Device> host_ = make_cpu_device(ledger_);
  std::unique_ptr<Ops> inner_ = make_cpu_ops(*host_);
};

inline std::unique_ptr<Ops> make_far_ops(Device&) { return std::make_unique<FarOps>(); }

}  // namespace ferula::test
