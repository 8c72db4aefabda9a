// Gives each operation of the interface to its stream.
#include "ops/cpu/cpu_ops.hpp"

#include "ops/cpu/activation.hpp"
#include "ops/cpu/attention.hpp"
#include "ops/cpu/cross_entropy.hpp"
#include "ops/cpu/elementwise.hpp"
#include "ops/cpu/embedding.hpp"
#include "ops/cpu/norm.hpp"
#include "ops/cpu/optimizer.hpp"
#include "ops/cpu/random.hpp"
#include "ops/cpu/rotary.hpp"

namespace ferula {

std::unique_ptr<Ops> make_cpu_ops(Device& device) {
  cpu::follow_masked_instruction_sets();
  return std::make_unique<CpuOps>(device);
}

void CpuOps::linear(Stream& stream, TensorView x, const WeightView& w, TensorView bias, TensorView y,
                    Accumulate accumulate) {
  stream.run([=, this] { products_.linear(x, w, bias, y, accumulate); });
}

void CpuOps::linear_backward_input(Stream& stream, TensorView dy, const WeightView& w, TensorView dx,
                                   Accumulate accumulate) {
  stream.run([=, this] { products_.linear_backward_input(dy, w, dx, accumulate); });
}

void CpuOps::linear_backward_weight(Stream& stream, TensorView x, TensorView dy, TensorView dw, Accumulate accumulate,
                                    TensorView dbias) {
  stream.run([=, this] { products_.linear_backward_weight(x, dy, dw, accumulate, dbias); });
}

std::unique_ptr<PreparedWeight> CpuOps::make_prepared(std::int64_t out, std::int64_t in, DType dtype) {
  return products_.make_prepared(out, in, dtype);
}

void CpuOps::embed(Stream& stream, TensorView token, TensorView position, TensorView table, TensorView positions,
                   TensorView y) {
  stream.run([=] { cpu::embed(token, position, table, positions, y); });
}

void CpuOps::embed_backward(Stream& stream, TensorView token, TensorView position, TensorView dy, TensorView dtable,
                            TensorView dpositions) {
  stream.run([=] { cpu::embed_backward(token, position, dy, dtable, dpositions); });
}

void CpuOps::residual_norm(Stream& stream, const NormSpec& spec, TensorView residual, TensorView delta,
                           TensorView weight, TensorView bias, TensorView y, TensorView statistics) {
  stream.run([=] { cpu::residual_norm(spec, residual, delta, weight, bias, y, statistics); });
}

void CpuOps::norm_backward(Stream& stream, const NormSpec& spec, TensorView dy, TensorView x, TensorView weight,
                           TensorView statistics, TensorView dx, Accumulate accumulate, TensorView dweight,
                           TensorView dbias) {
  stream.run(
      [=, this] { cpu::norm_backward(workspace_, spec, dy, x, weight, statistics, dx, accumulate, dweight, dbias); });
}

void CpuOps::gelu(Stream& stream, TensorView x, TensorView y) {
  stream.run([=] { cpu::gelu(x, y); });
}

void CpuOps::gelu_backward(Stream& stream, TensorView x, TensorView dy, TensorView dx) {
  stream.run([=] { cpu::gelu_backward(x, dy, dx); });
}

void CpuOps::swiglu(Stream& stream, TensorView gate_up, TensorView y) {
  stream.run([=] { cpu::swiglu(gate_up, y); });
}

void CpuOps::swiglu_backward(Stream& stream, TensorView gate_up, TensorView dy, TensorView dgate_up) {
  stream.run([=] { cpu::swiglu_backward(gate_up, dy, dgate_up); });
}

void CpuOps::rotary(Stream& stream, TensorView x, TensorView position, float theta, RotaryDirection direction) {
  stream.run([=] { cpu::rotary(x, position, theta, direction); });
}

void CpuOps::dropout(Stream& stream, const DropoutSpec& spec, TensorView x) {
  stream.run([=] { cpu::dropout(spec, x); });
}

void CpuOps::add(Stream& stream, TensorView x, TensorView y) {
  stream.run([=] { cpu::add(x, y); });
}

void CpuOps::copy(Stream& stream, TensorView from, TensorView to) {
  stream.run([=] { cpu::copy(from, to); });
}

void CpuOps::fill(Stream& stream, TensorView x, float value) {
  stream.run([=] { cpu::fill(x, value); });
}

void CpuOps::gather_rows(Stream& stream, TensorView x, TensorView row, TensorView y) {
  stream.run([=] { cpu::gather_rows(x, row, y); });
}

void CpuOps::attention(Stream& stream, const AttentionSpec& spec, TensorView q, TensorView k, TensorView v,
                       TensorView starts, TensorView out, TensorView logsumexp) {
  stream.run([=, this] { cpu::attention(workspace_, spec, q, k, v, starts, out, logsumexp); });
}

void CpuOps::attention_backward(Stream& stream, const AttentionSpec& spec, TensorView q, TensorView k, TensorView v,
                                TensorView starts, TensorView out, TensorView dout, TensorView logsumexp, TensorView dq,
                                TensorView dk, TensorView dv) {
  stream.run(
      [=, this] { cpu::attention_backward(workspace_, spec, q, k, v, starts, out, dout, logsumexp, dq, dk, dv); });
}

void CpuOps::cache_append(Stream& stream, TensorView k, TensorView v, TensorView slot, TensorView position,
                          TensorView k_cache, TensorView v_cache) {
  stream.run([=] { cpu::cache_append(k, v, slot, position, k_cache, v_cache); });
}

void CpuOps::attention_cached(Stream& stream, const AttentionSpec& spec, TensorView q, TensorView k_cache,
                              TensorView v_cache, TensorView slot, TensorView position, TensorView out) {
  stream.run([=, this] { cpu::attention_cached(workspace_, spec, q, k_cache, v_cache, slot, position, out); });
}

void CpuOps::cross_entropy(Stream& stream, TensorView logits, TensorView target, std::int64_t vocabulary, float scale,
                           TensorView losses, TensorView dlogits) {
  stream.run([=] { cpu::cross_entropy(logits, target, vocabulary, scale, losses, dlogits); });
}

void CpuOps::sum_of_squares(Stream& stream, TensorView x, TensorView total) {
  stream.run([=] { cpu::sum_of_squares(x, total); });
}

void CpuOps::optimizer_update(Stream& stream, const OptimizerRule& rule, TensorView scalars,
                              const OptimizerRange& range) {
  stream.run([=] { cpu::optimizer_update(rule, scalars, range); });
}

void CpuOps::fill_normal(Stream& stream, TensorView x, std::uint64_t key, std::int64_t first, float std) {
  stream.run([=] { cpu::fill_normal(x, key, first, std); });
}

ScratchBytes CpuOps::norm_backward_scratch(std::int64_t rows, std::int64_t width) {
  return {.own = cpu::norm_backward_scratch(rows, width)};
}

ScratchBytes CpuOps::attention_scratch(const AttentionSpec& spec, DType, std::int64_t, std::int64_t length) {
  return {.own = std::max(cpu::attention_scratch(spec), cpu::attention_backward_scratch(spec, length))};
}

}  // namespace ferula
