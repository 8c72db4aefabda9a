// Strict access to JSON.
#include "checkpoint/json_fields.hpp"

#include "base/error.hpp"

namespace ferula {

boost::json::value parse_json(std::string_view text, const std::string& where) {
  boost::json::error_code code;
  boost::json::value value = boost::json::parse({text.data(), text.size()}, code);
  if (code) throw DataError(fmt::format("{}: expected JSON, found: {}", where, code.message()));
  return value;
}

JsonFields::JsonFields(const boost::json::value& value, std::string where)
    : object_(value.if_object()), where_(std::move(where)) {
  if (object_ == nullptr) throw DataError(fmt::format("{}: expected a JSON object", where_));
}

std::string JsonFields::where(std::string_view key) const { return fmt::format("{}: {}", where_, key); }

void JsonFields::refuse(std::string_view key, std::string_view expected) const {
  const boost::json::value* found = object_->if_contains({key.data(), key.size()});
  const std::string shown = found == nullptr ? "nothing" : boost::json::serialize(*found).substr(0, 60);
  throw DataError(fmt::format("{}: expected {} as '{}', found {}", where_, expected, key, shown));
}

const boost::json::value& JsonFields::value(std::string_view key) {
  asked_.emplace(key);
  const boost::json::value* found = object_->if_contains({key.data(), key.size()});
  if (found == nullptr) refuse(key, "a value");
  return *found;
}

std::int64_t JsonFields::integer(std::string_view key, std::int64_t minimum) {
  const boost::json::value& found = value(key);
  if (!found.is_int64() || found.get_int64() < minimum)
    refuse(key, fmt::format("a whole number that is at least {}", minimum));
  return found.get_int64();
}

std::string JsonFields::text(std::string_view key) {
  const boost::json::value& found = value(key);
  if (!found.is_string()) refuse(key, "a text");
  return std::string(found.get_string().data(), found.get_string().size());
}

const boost::json::array& JsonFields::array(std::string_view key) {
  const boost::json::value& found = value(key);
  if (!found.is_array()) refuse(key, "a list");
  return found.get_array();
}

void JsonFields::finish() const {
  for (const auto& field : *object_)
    if (!asked_.contains(std::string_view(field.key().data(), field.key().size())))
      throw DataError(fmt::format("{}: '{}' is unknown here; a newer version of ferula may have written it", where_,
                                  std::string_view(field.key().data(), field.key().size())));
}

std::vector<std::int64_t> integers_of(const boost::json::array& array, const std::string& where) {
  std::vector<std::int64_t> numbers;
  for (const boost::json::value& item : array) {
    if (!item.is_int64() || item.get_int64() < 0)
      throw DataError(fmt::format("{}: expected whole numbers, found {}", where, boost::json::serialize(item)));
    numbers.push_back(item.get_int64());
  }
  return numbers;
}

}  // namespace ferula
