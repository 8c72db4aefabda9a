// Plain layer and root-mean-square norms with their gradients.
#include <cmath>

#include "support/elements.hpp"
#include "support/reference_ops.hpp"

namespace ferula::test {
namespace {

/// Mean (0 for rms) and 1/σ of one row.
struct Moments {
  double mean = 0;
  double inverse_deviation = 0;
};

Moments moments_of(const NormSpec& spec, const Elements& x, std::int64_t row) {
  const std::int64_t width = x.dim(1);
  Moments result;
  if (spec.kind == NormKind::layer) {
    for (std::int64_t column = 0; column < width; ++column) result.mean += x.at(row, column);
    result.mean /= static_cast<double>(width);
  }
  double squares = 0;
  for (std::int64_t column = 0; column < width; ++column) {
    const double centred = x.at(row, column) - result.mean;
    squares += centred * centred;
  }
  result.inverse_deviation = 1.0 / std::sqrt(squares / static_cast<double>(width) + spec.eps);
  return result;
}

}  // namespace

void ReferenceOps::residual_norm(Stream& stream, const NormSpec& spec, TensorView residual, TensorView delta,
                                 TensorView weight, TensorView bias, TensorView y, TensorView statistics) {
  stream.run([=] {
    const Elements x(residual), change(delta), scale(weight), shift(bias), out(y), saved(statistics);
    for (std::int64_t row = 0; row < x.dim(0); ++row) {
      for (std::int64_t column = 0; !change.empty() && column < x.dim(1); ++column)
        x.add(change.at(row, column), row, column);
      const Moments moments = moments_of(spec, x, row);
      for (std::int64_t column = 0; column < x.dim(1); ++column) {
        const double normal = (x.at(row, column) - moments.mean) * moments.inverse_deviation;
        out.set(normal * scale.at(column) + (shift.empty() ? 0.0 : shift.at(column)), row, column);
      }
      saved.set(moments.mean, row, 0);
      saved.set(moments.inverse_deviation, row, 1);
    }
  });
}

void ReferenceOps::norm_backward(Stream& stream, const NormSpec& spec, TensorView dy, TensorView x, TensorView weight,
                                 TensorView statistics, TensorView dx, Accumulate accumulate, TensorView dweight,
                                 TensorView dbias) {
  stream.run([=] {
    const Elements gradient(dy), in(x), scale(weight), saved(statistics), out(dx), dscale(dweight), dshift(dbias);
    const auto width = static_cast<double>(in.dim(1));
    for (std::int64_t row = 0; row < in.dim(0); ++row) {
      const double mean = saved.at(row, 0);
      const double inverse = saved.at(row, 1);
      const auto normal = [&](std::int64_t column) { return (in.at(row, column) - mean) * inverse; };
      double sum = 0, projection = 0;
      for (std::int64_t column = 0; column < in.dim(1); ++column) {
        const double weighted = gradient.at(row, column) * scale.at(column);
        sum += weighted;
        projection += weighted * normal(column);
      }
      if (spec.kind == NormKind::rms) sum = 0;
      for (std::int64_t column = 0; column < in.dim(1); ++column) {
        const double upstream = gradient.at(row, column);
        if (!dscale.empty()) dscale.add(upstream * normal(column), column);
        if (!dshift.empty()) dshift.add(upstream, column);
        const double centred = upstream * scale.at(column) - sum / width - normal(column) * projection / width;
        out.set(centred * inverse + (accumulate == Accumulate::add ? out.at(row, column) : 0.0), row, column);
      }
    }
  });
}

}  // namespace ferula::test
