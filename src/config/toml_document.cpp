// Turns toml11's values into the plain tree, and its syntax errors into mistakes.
#include "config/toml_document.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <sstream>
#include <toml.hpp>
#include <utility>

#include "config/toml_guard.hpp"
#include "config/toml_lexer.hpp"

namespace ferula {
namespace {

[[noreturn]] void throw_mistake(std::string message, std::string fix, SourceLocation where) {
  throw ConfigMistakes({{.key = "", .message = std::move(message), .fix = std::move(fix), .where = std::move(where)}});
}

void guard(const std::string& text, const std::string& origin) {
  const auto finding = refuse_toml(text);
  if (!finding) return;
  SourceLocation where = SourceText(text, origin).at({finding->offset, 1});
  if (first_invalid_utf8(where.text)) where.text.clear();
  throw_mistake(fmt::format("expected {}, found {}", finding->expected, finding->found),
                "a configuration is a short TOML text; check that this is the right file", std::move(where));
}

/// The first line of toml11's message without its "[error] toml::parse_table: ".
std::string syntax_message(const std::string& what) {
  std::string line = what.substr(0, what.find('\n'));
  if (line.starts_with("[error] ")) line.erase(0, 8);
  if (line.starts_with("toml::")) {
    if (const std::size_t colon = line.find(": "); colon != std::string::npos) line.erase(0, colon + 2);
  }
  return line;
}

/// Advice for the mistakes that people make most often.
std::string syntax_fix(const std::string& line) {
  if (line.find("= True") != std::string::npos || line.find("= False") != std::string::npos) {
    return "TOML writes true and false in lower case";
  }
  if (line.find('=') == std::string::npos && line.find(':') != std::string::npos) {
    return "TOML writes key = value, not key: value";
  }
  if (line.find('=') == std::string::npos) return "a line is `key = value` or `[section]`";
  return "strings need quotes; a key may be given once; lists are [1, 2] and inline tables { key = value } on one line";
}

SourceLocation place(const toml::source_location& found, const std::string& origin) {
  SourceLocation where = SourceText(found.line_str(), origin).at({found.column() - 1, found.region()});
  where.line = static_cast<std::int64_t>(found.line());
  return where;
}

/// Whether a line starts a key or a section: what no list contains.
bool starts_an_entry(std::string_view line) {
  const std::size_t first = std::min(line.find_first_not_of(" \t"), line.size());
  const std::size_t behind = std::min(line.find_first_of(" \t=", first), line.size());
  const bool is_key = line.find_first_not_of(" \t", behind) != std::string_view::npos &&
                      line[line.find_first_not_of(" \t", behind)] == '=';
  return is_key || (line.substr(first).starts_with('[') && line.find(',') == std::string_view::npos);
}

/// A list without its end goes on over the lines below, where toml11 finds the mistake: the place of its beginning.
std::optional<SourceLocation> unclosed_list(const std::string& text, const SourceLocation& found) {
  std::size_t begin = 0;
  for (std::int64_t line = 1; line < found.line && begin < text.size(); ++line) begin = end_of_line(text, begin) + 1;
  const std::optional<std::size_t> list = open_list(text, begin);
  const bool ends_here = begin >= text.size() || starts_an_entry(found.text);
  if (!list || !ends_here) return std::nullopt;
  return SourceText(text, found.origin).at({*list, end_of_line(text, *list) - *list});
}

/// Builds the tree. Places come from the key scanner: toml11 knows those of values, but counts lines for each anew.
class TreeBuilder {
 public:
  TreeBuilder(std::string_view text, const std::string& origin) : lines_(text, origin), keys_(find_keys(text)) {}

  /// `path` is the dotted name of the value, which stands at `where`; elements of a list share its place.
  TomlNode build(const toml::value& value, const std::string& path, const SourceLocation& where) const {
    TomlNode node;
    node.where = where;
    if (value.is_boolean()) node.value = value.as_boolean();
    if (value.is_integer()) set_integer(node, value);
    if (value.is_floating()) set_number(node, value.as_floating());
    if (value.is_string()) node.value = value.as_string().str;
    if (value.is_array()) node.value = list(value, path, where);
    if (value.is_table()) node.value = table(value, path, where);
    return node;
  }

 private:
  /// toml11 turns an integer beyond 64 bits into the largest one: that one is read again.
  static void set_integer(TomlNode& node, const toml::value& value) {
    const std::int64_t integer = value.as_integer();
    node.value = integer;
    const bool at_limit =
        integer == std::numeric_limits<std::int64_t>::max() || integer == std::numeric_limits<std::int64_t>::min();
    if (!at_limit) return;
    const toml::source_location where = value.location();
    std::string digits = where.line_str().substr(where.column() - 1, where.region());
    std::erase(digits, '_');
    if (digits.starts_with('+')) digits.erase(0, 1);
    std::int64_t again = 0;
    const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), again);
    if (read.ec != std::errc() || again != integer) node.value = std::monostate{};
  }

  /// toml11 turns a number beyond the range of a double into the largest one.
  static void set_number(TomlNode& node, double number) {
    if (std::abs(number) != std::numeric_limits<double>::max()) node.value = number;
  }

  TomlNode::List list(const toml::value& value, const std::string& path, const SourceLocation& where) const {
    TomlNode::List elements;
    for (const toml::value& element : value.as_array()) elements.push_back(build(element, path, where));
    return elements;
  }

  TomlNode::Table table(const toml::value& value, const std::string& path, const SourceLocation& where) const {
    TomlNode::Table entries;
    for (const auto& [key, element] : value.as_table()) {
      const std::string name = path.empty() ? key : path + "." + key;
      const auto found = keys_.find(name);
      const bool known = found != keys_.end();  // a quoted key with escapes is not: it gets its table's place
      const SourceLocation key_place = known ? lines_.at(found->second.key) : where;
      const bool has_value = known && found->second.value.length > 0;
      TomlNode node = build(element, name, has_value ? lines_.at(found->second.value) : key_place);
      entries.emplace(key, TomlEntry{std::move(node), key_place});
    }
    return entries;
  }

  SourceText lines_;
  std::map<std::string, KeyPlace> keys_;
};

struct InWords {
  std::string operator()(std::monostate) const { return "a date, a time or a number out of range"; }
  std::string operator()(bool value) const { return value ? "true" : "false"; }
  std::string operator()(std::int64_t value) const { return fmt::format("the integer {}", value); }
  std::string operator()(double value) const { return fmt::format("the number {}", value); }
  std::string operator()(const std::string& value) const {
    return fmt::format("the string {}", toml_quoted(value.size() <= 60 ? value : value.substr(0, 57) + "..."));
  }
  std::string operator()(const TomlNode::List& value) const {
    return value.size() == 1 ? "a list of one value" : fmt::format("a list of {} values", value.size());
  }
  std::string operator()(const TomlNode::Table&) const { return "a table"; }
};

/// `text` as it would stand behind `key =`; nothing where that is no TOML.
std::optional<toml::value> toml_value_of(const std::string& text, const std::string& origin) {
  try {
    std::istringstream stream("value = " + text + "\n");
    const toml::value document = toml::parse(stream, origin);
    if (document.as_table().size() != 1) return std::nullopt;
    return document.as_table().at("value");
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

}  // namespace

std::string TomlNode::in_words() const { return std::visit(InWords{}, value); }

TomlNode parse_toml(const std::string& text, const std::string& origin) {
  guard(text, origin);
  std::istringstream stream(text);
  try {
    return TreeBuilder(text, origin).build(toml::parse(stream, origin), "", {.origin = origin, .line = 1, .text = ""});
  } catch (const toml::syntax_error& error) {
    SourceLocation where = place(error.location(), origin);
    if (auto list = unclosed_list(text, where))
      throw_mistake("not valid TOML: the list that begins here has no end", "write ] behind its last value",
                    std::move(*list));
    const std::string fix = syntax_fix(where.text);
    throw_mistake("not valid TOML: " + syntax_message(error.what()), fix, std::move(where));
  } catch (const std::exception& error) {
    throw_mistake("not valid TOML: " + syntax_message(error.what()), "", {.origin = origin, .line = 1});
  }
}

TomlNode parse_toml_value(const std::string& text, const SourceLocation& where) {
  FERULA_CHECK(!refuse_toml(text), "a value that the guard refuses");
  const std::optional<toml::value> value = toml_value_of(text, where.origin);
  if (value) return TreeBuilder("", where.origin).build(*value, "", where);
  TomlNode bare;
  bare.value = text;
  bare.where = where;
  return bare;
}

bool is_broken_toml_value(const std::string& text) {
  const std::size_t first = text.find_first_not_of(" [");
  if (first == std::string::npos) return false;
  const bool begins_as_toml = text[first] == '"' || text[first] == '\'' || text[text.find_first_not_of(' ')] == '{';
  return begins_as_toml && !toml_value_of(text, "--set");
}

std::string toml_quoted(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      quoted += '\\';
      quoted += c;
    } else if (c == '\n') {
      quoted += "\\n";
    } else if (c == '\t') {
      quoted += "\\t";
    } else if (byte < 0x20 || byte == 0x7f) {
      quoted += fmt::format("\\u{:04X}", static_cast<unsigned>(byte));
    } else {
      quoted += c;
    }
  }
  return quoted + "\"";
}

}  // namespace ferula
