// Values for JSON that any parser accepts, whatever a model computed or a user typed.
#pragma once

#include <boost/json.hpp>

#include <cmath>
#include <string_view>

#include "data/utf8.hpp"

namespace ferula {

/// JSON has no NaN and no infinity: they become null.
inline boost::json::value number_or_null(double value) {
  return std::isfinite(value) ? boost::json::value(value) : boost::json::value(nullptr);
}

/// JSON is UTF-8: bytes that are not become U+FFFD.
inline boost::json::value json_text(std::string_view bytes) { return boost::json::value(with_valid_utf8(bytes)); }

}  // namespace ferula
