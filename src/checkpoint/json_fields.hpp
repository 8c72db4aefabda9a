// Strict access to JSON: every field is there, has its type and range, and is asked for; else a DataError says where.
#pragma once

#include <boost/json.hpp>

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace ferula {

/// Parses a whole text.
boost::json::value parse_json(std::string_view text, const std::string& where);

/// One object. `where` names it in messages ("…/MANIFEST.json: tensors[3]").
class JsonFields {
 public:
  JsonFields(const boost::json::value& value, std::string where);

  /// A whole number that is at least `minimum`.
  std::int64_t integer(std::string_view key, std::int64_t minimum = 0);
  std::string text(std::string_view key);
  const boost::json::array& array(std::string_view key);
  const boost::json::value& value(std::string_view key);
  const boost::json::object& all() const { return *object_; }
  std::string where(std::string_view key) const;
  /// Throws where the object has a key that was not asked for.
  void finish() const;

 private:
  [[noreturn]] void refuse(std::string_view key, std::string_view expected) const;

  const boost::json::object* object_;
  std::string where_;
  std::set<std::string, std::less<>> asked_;
};

/// The items of an array as whole numbers that are not negative.
std::vector<std::int64_t> integers_of(const boost::json::array& array, const std::string& where);

}  // namespace ferula
