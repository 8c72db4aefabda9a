#include "params/param_spec.hpp"

#include <algorithm>
#include <functional>
#include <numeric>

namespace ferula {

std::int64_t ParamSpec::count() const {
  return std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
}

std::int64_t UnitSpec::count() const {
  return std::accumulate(params.begin(), params.end(), std::int64_t{0},
                         [](std::int64_t sum, const ParamSpec& param) { return sum + param.count(); });
}

bool UnitSpec::trains() const {
  return std::any_of(params.begin(), params.end(), [](const ParamSpec& param) { return param.trainable; });
}

std::int64_t parameter_count(const ModelSpec& model) {
  return std::accumulate(model.begin(), model.end(), std::int64_t{0},
                         [](std::int64_t sum, const UnitSpec& unit) { return sum + unit.count(); });
}

}  // namespace ferula
