// Checked narrowing where a C interface wants an `int`.
#pragma once

#include <cstdint>
#include <utility>

#include "base/error.hpp"

namespace ferula {

template <class To, class From>
To narrow(From value) {
  FERULA_CHECK(std::in_range<To>(value), "{} does not fit into {} bytes", value, sizeof(To));
  return static_cast<To>(value);
}

/// Smallest multiple of `step` that is at least `value`.
constexpr std::int64_t round_up(std::int64_t value, std::int64_t step) { return (value + step - 1) / step * step; }
constexpr std::int64_t ceil_div(std::int64_t value, std::int64_t by) { return (value + by - 1) / by; }

}  // namespace ferula
