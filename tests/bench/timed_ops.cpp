#include "timed_ops.hpp"

#include <fmt/format.h>

#include <initializer_list>

#include "base/stopwatch.hpp"

namespace ferula::bench {
namespace {

/// Operations on paper of one element of the operand that is named.
constexpr double kNormFlops = 8;                // of y
constexpr double kNormBackwardFlops = 14;       // of dx
constexpr double kGeluFlops = 9;                // of y
constexpr double kGeluBackwardFlops = 17;       // of dx
constexpr double kSwigluFlops = 5;              // of y
constexpr double kSwigluBackwardFlops = 11;     // of y
constexpr double kRotaryFlops = 3;              // of x
constexpr double kCrossEntropyFlops = 6;        // of the logits
constexpr double kAdamFlops = 16;               // of the master
constexpr double kBackwardToForward = 5.0 / 2;  // attention: the backward pass makes five products, the forward two

double count(const TensorView& view) { return static_cast<double>(view.count()); }

double bytes(std::initializer_list<TensorView> views) {
  double sum = 0;
  for (const TensorView& view : views) sum += static_cast<double>(bytes_of(view.dtype, view.count()));
  return sum;
}

/// What `to` costs: it is read, too, where something is added.
double result_bytes(TensorView to, Accumulate accumulate) {
  return bytes({to}) * (accumulate == Accumulate::add ? 2 : 1);
}

/// Of a product among rows [rows, in], a weight [out, in] and rows [rows, out].
double product_flops(TensorView rows, TensorView weight) {
  return 2.0 * static_cast<double>(rows.dim(0)) * count(weight);
}

std::string product_name(std::string_view name, TensorView weight) {
  return fmt::format("{} {} to {}", name, weight.dim(1), weight.dim(0));
}

/// Scores and weighted sums of the pairs that the causal mask leaves.
double attention_flops(const AttentionSpec& spec, TensorView starts) {
  double pairs = 0;
  const std::span<const std::int32_t> first = starts.span<std::int32_t>();
  for (std::size_t sequence = 0; sequence + 1 < first.size(); ++sequence) {
    const double length = first[sequence + 1] - first[sequence];
    pairs += length * (length + 1) / 2;
  }
  return 4.0 * spec.heads * spec.head_dim * pairs;
}

}  // namespace

template <class Call>
void TimedOps::note(const std::string& name, double flops, double bytes, const Call& call) {
  const Stopwatch watch;
  call();
  OpRecord& record = records_[name];
  record.seconds += watch.seconds();
  record.flops += flops;
  record.bytes += bytes;
  ++record.calls;
}

void TimedOps::linear(Stream& stream, TensorView x, const WeightView& w, TensorView bias, TensorView y,
                      Accumulate accumulate) {
  note(product_name("product", w.values), product_flops(x, w.values),
       bytes({x, w.values, bias}) + result_bytes(y, accumulate),
       [&] { inner_->linear(stream, x, w, bias, y, accumulate); });
}

void TimedOps::linear_backward_input(Stream& stream, TensorView dy, const WeightView& w, TensorView dx,
                                     Accumulate accumulate) {
  note(product_name("gradient of input", w.values), product_flops(dy, w.values),
       bytes({dy, w.values}) + result_bytes(dx, accumulate),
       [&] { inner_->linear_backward_input(stream, dy, w, dx, accumulate); });
}

void TimedOps::linear_backward_weight(Stream& stream, TensorView x, TensorView dy, TensorView dw, Accumulate accumulate,
                                      TensorView dbias) {
  note(product_name("gradient of weight", dw), product_flops(x, dw),
       bytes({x, dy, dbias, dbias}) + result_bytes(dw, accumulate),
       [&] { inner_->linear_backward_weight(stream, x, dy, dw, accumulate, dbias); });
}

std::unique_ptr<PreparedWeight> TimedOps::make_prepared(std::int64_t out, std::int64_t in, DType dtype) {
  return inner_->make_prepared(out, in, dtype);
}

void TimedOps::embed(Stream& stream, TensorView token, TensorView position, TensorView table, TensorView positions,
                     TensorView y) {
  note("embedding", positions.empty() ? 0 : count(y), bytes({token, position, y, y, y}),
       [&] { inner_->embed(stream, token, position, table, positions, y); });
}

void TimedOps::embed_backward(Stream& stream, TensorView token, TensorView position, TensorView dy, TensorView dtable,
                              TensorView dpositions) {
  note("gradient of embedding", 2 * count(dy), bytes({token, position, dy, dy, dy}),
       [&] { inner_->embed_backward(stream, token, position, dy, dtable, dpositions); });
}

void TimedOps::residual_norm(Stream& stream, const NormSpec& spec, TensorView residual, TensorView delta,
                             TensorView weight, TensorView bias, TensorView y, TensorView statistics) {
  note("norm", kNormFlops * count(y),
       bytes({residual, delta, weight, bias, y, statistics}) + (delta.empty() ? 0 : bytes({residual})),
       [&] { inner_->residual_norm(stream, spec, residual, delta, weight, bias, y, statistics); });
}

void TimedOps::norm_backward(Stream& stream, const NormSpec& spec, TensorView dy, TensorView x, TensorView weight,
                             TensorView statistics, TensorView dx, Accumulate accumulate, TensorView dweight,
                             TensorView dbias) {
  note("gradient of norm", kNormBackwardFlops * count(dx),
       bytes({dy, x, weight, statistics, dweight, dbias}) + result_bytes(dx, accumulate),
       [&] { inner_->norm_backward(stream, spec, dy, x, weight, statistics, dx, accumulate, dweight, dbias); });
}

void TimedOps::gelu(Stream& stream, TensorView x, TensorView y) {
  note("gelu", kGeluFlops * count(y), bytes({x, y}), [&] { inner_->gelu(stream, x, y); });
}

void TimedOps::gelu_backward(Stream& stream, TensorView x, TensorView dy, TensorView dx) {
  note("gradient of gelu", kGeluBackwardFlops * count(dx), bytes({x, dy, dx}),
       [&] { inner_->gelu_backward(stream, x, dy, dx); });
}

void TimedOps::swiglu(Stream& stream, TensorView gate_up, TensorView y) {
  note("swiglu", kSwigluFlops * count(y), bytes({gate_up, y}), [&] { inner_->swiglu(stream, gate_up, y); });
}

void TimedOps::swiglu_backward(Stream& stream, TensorView gate_up, TensorView dy, TensorView dgate_up) {
  note("gradient of swiglu", kSwigluBackwardFlops * count(dy), bytes({gate_up, dy, dgate_up}),
       [&] { inner_->swiglu_backward(stream, gate_up, dy, dgate_up); });
}

void TimedOps::rotary(Stream& stream, TensorView x, TensorView position, float theta, RotaryDirection direction) {
  note("rotary", kRotaryFlops * count(x), bytes({x, x, position}),
       [&] { inner_->rotary(stream, x, position, theta, direction); });
}

void TimedOps::dropout(Stream& stream, const DropoutSpec& spec, TensorView x) {
  note("dropout", count(x), bytes({x, x}), [&] { inner_->dropout(stream, spec, x); });
}

void TimedOps::add(Stream& stream, TensorView x, TensorView y) {
  note("add", count(x), bytes({x, x, y}), [&] { inner_->add(stream, x, y); });
}

void TimedOps::copy(Stream& stream, TensorView from, TensorView to) {
  note("copy", 0, bytes({from, to}), [&] { inner_->copy(stream, from, to); });
}

void TimedOps::fill(Stream& stream, TensorView x, float value) {
  note("fill", 0, bytes({x}), [&] { inner_->fill(stream, x, value); });
}

void TimedOps::gather_rows(Stream& stream, TensorView x, TensorView row, TensorView y) {
  note("gather rows", 0, bytes({row, y, y}), [&] { inner_->gather_rows(stream, x, row, y); });
}

void TimedOps::attention(Stream& stream, const AttentionSpec& spec, TensorView q, TensorView k, TensorView v,
                         TensorView starts, TensorView out, TensorView logsumexp) {
  note("attention", attention_flops(spec, starts), bytes({q, k, v, out, logsumexp}),
       [&] { inner_->attention(stream, spec, q, k, v, starts, out, logsumexp); });
}

void TimedOps::attention_backward(Stream& stream, const AttentionSpec& spec, TensorView q, TensorView k, TensorView v,
                                  TensorView starts, TensorView out, TensorView dout, TensorView logsumexp,
                                  TensorView dq, TensorView dk, TensorView dv) {
  note("gradient of attention", kBackwardToForward * attention_flops(spec, starts),
       bytes({q, k, v, out, dout, logsumexp, dq, dk, dv}),
       [&] { inner_->attention_backward(stream, spec, q, k, v, starts, out, dout, logsumexp, dq, dk, dv); });
}

void TimedOps::cache_append(Stream& stream, TensorView k, TensorView v, TensorView slot, TensorView position,
                            TensorView k_cache, TensorView v_cache) {
  note("append to cache", 0, bytes({k, v, k, v}),
       [&] { inner_->cache_append(stream, k, v, slot, position, k_cache, v_cache); });
}

void TimedOps::attention_cached(Stream& stream, const AttentionSpec& spec, TensorView q, TensorView k_cache,
                                TensorView v_cache, TensorView slot, TensorView position, TensorView out) {
  double keys = 0;
  for (const std::int32_t last : position.span<std::int32_t>()) keys += last + 1;
  const double row_bytes = 2.0 * static_cast<double>(bytes_of(k_cache.dtype, spec.kv_heads * spec.head_dim));
  note("attention to cache", 4.0 * spec.heads * spec.head_dim * keys, bytes({q, out}) + keys * row_bytes,
       [&] { inner_->attention_cached(stream, spec, q, k_cache, v_cache, slot, position, out); });
}

void TimedOps::cross_entropy(Stream& stream, TensorView logits, TensorView target, std::int64_t vocabulary, float scale,
                             TensorView losses, TensorView dlogits) {
  note("cross-entropy", kCrossEntropyFlops * count(logits), bytes({logits, target, losses, dlogits}),
       [&] { inner_->cross_entropy(stream, logits, target, vocabulary, scale, losses, dlogits); });
}

void TimedOps::sum_of_squares(Stream& stream, TensorView x, TensorView total) {
  note("norm of the gradient", 2 * count(x), bytes({x}), [&] { inner_->sum_of_squares(stream, x, total); });
}

void TimedOps::optimizer_update(Stream& stream, const OptimizerRule& rule, TensorView scalars,
                                const OptimizerRange& range) {
  const TensorView& m = range.master;
  note("optimizer", kAdamFlops * count(m),
       bytes({range.gradient, m, m, range.moment1, range.moment1, range.moment2, range.moment2, range.value}),
       [&] { inner_->optimizer_update(stream, rule, scalars, range); });
}

void TimedOps::fill_normal(Stream& stream, TensorView x, std::uint64_t key, std::int64_t first, float std) {
  note("random numbers", 0, bytes({x}), [&] { inner_->fill_normal(stream, x, key, first, std); });
}

}  // namespace ferula::bench
