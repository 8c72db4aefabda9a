// Values for JSON that any parser accepts, whatever a model computed or a user typed.
#pragma once

#include <boost/json.hpp>

#include <cmath>

namespace ferula {

/// JSON has no NaN and no infinity: they become null.
inline boost::json::value number_or_null(double value) {
  return std::isfinite(value) ? boost::json::value(value) : boost::json::value(nullptr);
}

}  // namespace ferula
