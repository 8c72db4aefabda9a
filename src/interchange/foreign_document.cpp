// Boost.JSON judges JSON strictly; then yaml-cpp, whose language contains JSON, reads both and knows the places.
#include "interchange/foreign_document.hpp"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <boost/json/stream_parser.hpp>
#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include "config/source_text.hpp"
#include "config/toml_guard.hpp"

namespace ferula {
namespace {

constexpr std::int64_t kMostValues = 20'000;  // an alias counts as often as it is used
constexpr std::int64_t kDeepest = 64;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

[[noreturn]] void refuse(std::string message, std::string fix, SourceLocation where) {
  throw_if_any({{.key = "", .message = std::move(message), .fix = std::move(fix), .where = std::move(where)}});
  throw ConfigError("unreachable: a list of one mistake throws");
}

/// JSON with its comments, and tabs, replaced by blanks: every other byte stays at its place.
std::string without_comments(std::string text) {
  enum class Part : unsigned char { outside, string, line, block } part = Part::outside;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::string_view two = std::string_view(text).substr(i, 2);
    if (part == Part::string) {
      if (text[i] == '\\')
        ++i;
      else if (text[i] == '"')
        part = Part::outside;
      continue;
    }
    if (part == Part::outside && text[i] == '"') part = Part::string;
    if (part == Part::outside && two == "//") part = Part::line;
    if (part == Part::outside && two == "/*") part = Part::block;
    if (part == Part::line && text[i] == '\n') part = Part::outside;
    const bool ends = part == Part::block && two == "*/";
    if (part == Part::line || part == Part::block || text[i] == '\t') text[i] = text[i] == '\n' ? '\n' : ' ';
    if (ends) {
      text[++i] = ' ';
      part = Part::outside;
    }
  }
  return text;
}

void check_json(const std::string& text, const SourceText& places) {
  boost::json::stream_parser parser({}, {.max_depth = kDeepest, .allow_trailing_commas = true});
  boost::json::error_code error;
  std::size_t read = parser.write_some(text, error);
  if (!error) read = text.find_first_not_of(" \r\n", read);
  if (!error && read != std::string::npos) error = boost::json::error::extra_data;
  if (!error) {
    read = text.size();
    parser.finish(error);
  }
  if (error)
    refuse("not valid JSON: " + error.message(), "look at this place and just before it", places.at({read, 1}));
}

/// A number, a truth, nothing or a word, as YAML's core schema has it; `yes` and `no` as PyYAML, which others use.
decltype(TomlNode::value) plain_scalar(const std::string& text) {
  static const std::map<std::string_view, bool> kTruths = {
      {"true", true},   {"True", true},   {"TRUE", true},   {"yes", true}, {"Yes", true}, {"on", true},
      {"false", false}, {"False", false}, {"FALSE", false}, {"no", false}, {"No", false}, {"off", false}};
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL" || text == "None") return {};
  if (const auto truth = kTruths.find(text); truth != kTruths.end()) return truth->second;
  const char* begin = text.data() + (text.front() == '+' ? 1 : 0);
  const char* end = text.data() + text.size();
  std::int64_t whole = 0;
  if (const auto [at, error] = std::from_chars(begin, end, whole); error == std::errc() && at == end) return whole;
  double number = 0;
  const bool starts_as_number = text.find_first_of("0123456789") <= 2 && text.find_first_of("nN") == std::string::npos;
  if (const auto [at, error] = std::from_chars(begin, end, number);
      starts_as_number && error == std::errc() && at == end)
    return number;
  return text;
}

/// Turns the nodes of yaml-cpp into those of the tree.
class ForeignTree {
 public:
  ForeignTree(const SourceText& places, std::string origin) : places_(places), origin_(std::move(origin)) {}

  TomlNode build(const YAML::Node& node, const SourceLocation& nearby, std::int64_t depth = 0) {
    TomlNode built;
    built.where = place(node, nearby);
    if (++values_ > kMostValues || depth > kDeepest)
      refuse("expected a configuration, found more than 20,000 values or 64 levels, aliases included",
             "is this the right file?", built.where);
    if (node.IsMap()) {
      built.value = table(node, built.where, depth);
    } else if (node.IsSequence()) {
      TomlNode::List list;
      for (const YAML::Node& each : node) list.push_back(build(each, built.where, depth + 1));
      built.value = std::move(list);
    } else if (node.IsScalar() && node.Tag() == "!") {  // in quotes
      built.value = node.Scalar();
    } else if (node.IsScalar()) {
      built.value = plain_scalar(node.Scalar());
    }
    return built;
  }

 private:
  SourceLocation place(const YAML::Node& node, const SourceLocation& nearby) const {
    const YAML::Mark mark = node.Mark();
    if (mark.pos < 0) return nearby;
    const std::size_t quotes = node.IsScalar() && node.Tag() == "!" ? 2 : 0;
    const std::size_t length = node.IsScalar() ? node.Scalar().size() + quotes : 1;
    return places_.at({static_cast<std::size_t>(mark.pos), length});
  }

  TomlNode::Table table(const YAML::Node& node, const SourceLocation& where, std::int64_t depth) {
    TomlNode::Table built;
    for (const auto& member : node) {
      const YAML::Node &key = member.first, &value = member.second;
      const SourceLocation at = place(key, where);
      if (!key.IsScalar()) refuse("expected a word as a key, found a list or a table", "", at);
      TomlEntry entry{.node = build(value, at, depth + 1), .key = at};
      const auto [first, is_new] = built.emplace(key.Scalar(), std::move(entry));
      if (!is_new)
        refuse(fmt::format("the key '{}' is given twice, first at {}", key.Scalar(), first->second.key.label()),
               "keep one of the two", at);
    }
    return built;
  }

  const SourceText& places_;
  std::string origin_;
  std::int64_t values_ = 0;
};

YAML::Node only_document(const std::string& text, const SourceText& places) {
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(text);
    if (documents.size() == 1) return documents.front();
    refuse(fmt::format("expected one YAML document, found {}", documents.size()), "keep one of them in the file",
           places.at({0, 1}));
  } catch (const YAML::Exception& error) {
    const int offset = std::max(error.mark.pos, 0);
    refuse("not valid YAML: " + error.msg, "look at this place and just before it",
           places.at({static_cast<std::size_t>(offset), 1}));
  }
}

}  // namespace

ForeignFormat foreign_format(const std::string& text) {
  const std::string bare = without_comments(text);
  const std::size_t first = bare.find_first_not_of(" \t\r\n\xEF\xBB\xBF");
  return first != std::string::npos && (bare[first] == '{' || bare[first] == '[') ? ForeignFormat::json
                                                                                  : ForeignFormat::yaml;
}

TomlNode parse_foreign(const std::string& given, const std::string& origin) {
  const std::string text = given.starts_with(kByteOrderMark) ? given.substr(kByteOrderMark.size()) : given;
  const SourceText places(text, origin);
  if (const auto finding = refuse_text(text))
    refuse(fmt::format("expected {}, found {}", finding->expected, finding->found), "is this the right file?",
           text.size() > kMostConfigBytes ? SourceLocation{.origin = origin, .line = 1}
                                          : SourceLocation{.origin = origin,
                                                           .line = places.at({finding->offset, 1}).line,
                                                           .column = places.at({finding->offset, 1}).column});
  const bool is_json = foreign_format(text) == ForeignFormat::json;
  const std::string bare = is_json ? without_comments(text) : text;
  if (is_json) check_json(bare, places);
  TomlNode root = ForeignTree(places, origin).build(only_document(bare, places), {.origin = origin, .line = 1});
  if (!std::holds_alternative<TomlNode::Table>(root.value))
    refuse(fmt::format("expected keys with values, found {}", root.in_words()),
           "give a DeepSpeed JSON, accelerate's default_config.yaml, or YAML like them", root.where);
  return root;
}

}  // namespace ferula
