// Plain element-wise functions: activations, rotary embedding, dropout, copies.
#include <cmath>
#include <numbers>

#include "ops/dropout_counter.hpp"
#include "support/elements.hpp"
#include "support/reference_ops.hpp"

namespace ferula::test {
namespace {

constexpr double kGeluCubic = 0.044715;
const double kGeluScale = std::sqrt(2.0 / std::numbers::pi);

double sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }

}  // namespace

void ReferenceOps::gelu(Stream& stream, TensorView x, TensorView y) {
  stream.run([=] {
    const Elements in(x), out(y);
    for (std::int64_t index = 0; index < in.count(); ++index) {
      const double value = in.flat_at(index);
      out.flat_set(0.5 * value * (1 + std::tanh(kGeluScale * (value + kGeluCubic * value * value * value))), index);
    }
  });
}

void ReferenceOps::gelu_backward(Stream& stream, TensorView x, TensorView dy, TensorView dx) {
  stream.run([=] {
    const Elements in(x), gradient(dy), out(dx);
    for (std::int64_t index = 0; index < in.count(); ++index) {
      const double value = in.flat_at(index);
      const double tanh = std::tanh(kGeluScale * (value + kGeluCubic * value * value * value));
      const double inner = kGeluScale * (1 + 3 * kGeluCubic * value * value);
      const double slope = 0.5 * (1 + tanh) + 0.5 * value * (1 - tanh * tanh) * inner;
      out.flat_set(gradient.flat_at(index) * slope, index);
    }
  });
}

void ReferenceOps::swiglu(Stream& stream, TensorView gate_up, TensorView y) {
  stream.run([=] {
    const Elements in(gate_up), out(y);
    const std::int64_t ffn = y.dim(1);
    for (std::int64_t row = 0; row < in.dim(0); ++row)
      for (std::int64_t column = 0; column < ffn; ++column) {
        const double gate = in.at(row, column);
        out.set(gate * sigmoid(gate) * in.at(row, ffn + column), row, column);
      }
  });
}

void ReferenceOps::swiglu_backward(Stream& stream, TensorView gate_up, TensorView dy, TensorView dgate_up) {
  stream.run([=] {
    const Elements in(gate_up), gradient(dy), out(dgate_up);
    const std::int64_t ffn = dy.dim(1);
    for (std::int64_t row = 0; row < in.dim(0); ++row)
      for (std::int64_t column = 0; column < ffn; ++column) {
        const double gate = in.at(row, column), up = in.at(row, ffn + column);
        const double upstream = gradient.at(row, column), s = sigmoid(gate);
        out.set(upstream * up * s * (1 + gate * (1 - s)), row, column);
        out.set(upstream * gate * s, row, ffn + column);
      }
  });
}

void ReferenceOps::rotary(Stream& stream, TensorView x, TensorView position, float theta, RotaryDirection direction) {
  stream.run([=] {
    const Elements values(x), places(position);
    const std::int64_t half = x.dim(2) / 2;
    const double sign = direction == RotaryDirection::forward ? 1.0 : -1.0;
    for (std::int64_t row = 0; row < values.dim(0); ++row)
      for (std::int64_t head = 0; head < values.dim(1); ++head)
        for (std::int64_t i = 0; i < half; ++i) {
          const double frequency = std::pow(theta, -static_cast<double>(i) / static_cast<double>(half));
          const double angle = places.at(row) * frequency;
          const double first = values.at(row, head, i), second = values.at(row, head, i + half);
          values.set(first * std::cos(angle) - sign * second * std::sin(angle), row, head, i);
          values.set(second * std::cos(angle) + sign * first * std::sin(angle), row, head, i + half);
        }
  });
}

void ReferenceOps::dropout(Stream& stream, const DropoutSpec& spec, TensorView x) {
  stream.run([=] {
    const Elements values(x), samples(spec.sample), places(spec.position), step(spec.step);
    for (std::int64_t row = 0; row < values.dim(0); ++row)
      for (std::int64_t column = 0; column < values.dim(1); ++column) {
        const std::uint32_t bits = dropout_bits(spec.key, step.integer(0), samples.integer(row),
                                                static_cast<std::int32_t>(places.integer(row)), column);
        const bool dropped = uniform(bits) < spec.rate;
        values.set(dropped ? 0.0 : values.at(row, column) / (1.0 - spec.rate), row, column);
      }
  });
}

void ReferenceOps::add(Stream& stream, TensorView x, TensorView y) {
  stream.run([=] {
    const Elements sum(x), other(y);
    for (std::int64_t index = 0; index < sum.count(); ++index)
      sum.flat_set(sum.flat_at(index) + other.flat_at(index), index);
  });
}

void ReferenceOps::copy(Stream& stream, TensorView from, TensorView to) {
  stream.run([=] {
    const Elements source(from), target(to);
    for (std::int64_t index = 0; index < source.count(); ++index) target.flat_set(source.flat_at(index), index);
  });
}

void ReferenceOps::fill(Stream& stream, TensorView x, float value) {
  stream.run([=] {
    const Elements target(x);
    for (std::int64_t index = 0; index < target.count(); ++index) target.flat_set(value, index);
  });
}

void ReferenceOps::gather_rows(Stream& stream, TensorView x, TensorView row, TensorView y) {
  stream.run([=] {
    const Elements source(x), rows(row), target(y);
    for (std::int64_t index = 0; index < rows.count(); ++index)
      for (std::int64_t column = 0; column < source.dim(1); ++column)
        target.set(source.at(rows.integer(index), column), index, column);
  });
}

}  // namespace ferula::test
