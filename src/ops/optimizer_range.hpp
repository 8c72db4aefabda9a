// What an update rule asks of the range that it updates, on every backend.
#pragma once

#include "ops/ops.hpp"

namespace ferula {

/// Which moments a rule keeps.
inline bool keeps_moment1(const OptimizerRule& rule) { return rule.kind != OptimizerKind::sgd || rule.momentum != 0.0; }
inline bool keeps_moment2(const OptimizerRule& rule) { return rule.kind == OptimizerKind::adam; }

/// Checks that the views which the rule needs are there, and that all are contiguous and of equal count.
inline void check_range(const OptimizerRule& rule, const OptimizerRange& range) {
  const std::int64_t count = range.master.count();
  const auto check = [count](const TensorView& view, bool needed, const char* name) {
    FERULA_CHECK(!needed || view.count() == count, "{} elements of {} for {} masters", view.count(), name, count);
    FERULA_CHECK(view.empty() || (view.count() == count && view.contiguous()), "{} does not match the masters", name);
  };
  check(range.gradient, true, "gradient");
  check(range.value, false, "value");
  check(range.moment1, keeps_moment1(rule), "moment1");
  check(range.moment2, keeps_moment2(rule), "moment2");
}

}  // namespace ferula
