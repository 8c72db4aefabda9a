// Plain matrix products and embeddings.
#include "support/elements.hpp"
#include "support/reference_ops.hpp"

namespace ferula::test {

void ReferenceOps::linear(Stream& stream, TensorView x, const WeightView& w, TensorView bias, TensorView y,
                          Accumulate accumulate) {
  stream.run([=, weight_view = w.values] {
    const Elements in(x), weight(weight_view), offset(bias), out(y);
    for (std::int64_t row = 0; row < in.dim(0); ++row)
      for (std::int64_t column = 0; column < weight.dim(0); ++column) {
        double sum = offset.empty() ? 0.0 : offset.at(column);
        for (std::int64_t k = 0; k < weight.dim(1); ++k) sum += in.at(row, k) * weight.at(column, k);
        out.set(sum + (accumulate == Accumulate::add ? out.at(row, column) : 0.0), row, column);
      }
  });
}

void ReferenceOps::linear_backward_input(Stream& stream, TensorView dy, const WeightView& w, TensorView dx,
                                         Accumulate accumulate) {
  stream.run([=, weight_view = w.values] {
    const Elements in(dy), weight(weight_view), out(dx);
    for (std::int64_t row = 0; row < in.dim(0); ++row)
      for (std::int64_t column = 0; column < weight.dim(1); ++column) {
        double sum = accumulate == Accumulate::add ? out.at(row, column) : 0.0;
        for (std::int64_t k = 0; k < weight.dim(0); ++k) sum += in.at(row, k) * weight.at(k, column);
        out.set(sum, row, column);
      }
  });
}

void ReferenceOps::linear_backward_weight(Stream& stream, TensorView x, TensorView dy, TensorView dw,
                                          Accumulate accumulate, TensorView dbias) {
  stream.run([=] {
    const Elements in(x), gradient(dy), weight(dw), offset(dbias);
    for (std::int64_t row = 0; row < gradient.dim(1); ++row) {
      double column_sum = 0;
      for (std::int64_t k = 0; k < gradient.dim(0); ++k) column_sum += gradient.at(k, row);
      if (!offset.empty()) offset.add(column_sum, row);
      for (std::int64_t column = 0; !weight.empty() && column < in.dim(1); ++column) {
        double sum = accumulate == Accumulate::add ? weight.at(row, column) : 0.0;
        for (std::int64_t k = 0; k < in.dim(0); ++k) sum += gradient.at(k, row) * in.at(k, column);
        weight.set(sum, row, column);
      }
    }
  });
}

std::unique_ptr<PreparedWeight> ReferenceOps::make_prepared(std::int64_t, std::int64_t, DType) { return nullptr; }

void ReferenceOps::embed(Stream& stream, TensorView token, TensorView position, TensorView table, TensorView positions,
                         TensorView y) {
  stream.run([=] {
    const Elements tokens(token), places(position), values(table), learned(positions), out(y);
    for (std::int64_t row = 0; row < tokens.count(); ++row)
      for (std::int64_t column = 0; column < values.dim(1); ++column) {
        const double shift = learned.empty() ? 0.0 : learned.at(places.integer(row), column);
        out.set(values.at(tokens.integer(row), column) + shift, row, column);
      }
  });
}

void ReferenceOps::embed_backward(Stream& stream, TensorView token, TensorView position, TensorView dy,
                                  TensorView dtable, TensorView dpositions) {
  stream.run([=] {
    const Elements tokens(token), places(position), gradient(dy), table(dtable), learned(dpositions);
    for (std::int64_t row = 0; row < tokens.count(); ++row)
      for (std::int64_t column = 0; column < gradient.dim(1); ++column) {
        const double value = gradient.at(row, column);
        if (!table.empty()) table.add(value, tokens.integer(row), column);
        if (!learned.empty()) learned.add(value, places.integer(row), column);
      }
  });
}

}  // namespace ferula::test
