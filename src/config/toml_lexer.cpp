// A scanner for valid TOML that skips values and remembers keys.
#include "config/toml_lexer.hpp"

#include <algorithm>
#include <utility>
#include <vector>

namespace ferula {
namespace {

/// One dotted key: its full name and the bytes of its last part.
struct DottedKey {
  std::string name;
  std::size_t offset = 0;
  std::size_t length = 0;
};

class KeyScanner {
 public:
  explicit KeyScanner(std::string_view text) : text_(text) {}

  std::map<std::string, KeyPlace> scan() {
    if (text_.starts_with("\xEF\xBB\xBF")) at_ = 3;
    std::string table;
    for (skip_blank(); !done(); skip_blank()) {
      if (peek() == '[') {
        table = header();
      } else {
        key_and_value(table);
      }
    }
    return std::move(found_);
  }

 private:
  bool done() const { return at_ >= text_.size(); }
  char peek() const { return done() ? '\0' : text_[at_]; }

  void skip_spaces() {
    while (peek() == ' ' || peek() == '\t') ++at_;
  }

  /// Skips spaces, newlines and comments.
  void skip_blank() {
    while (!done()) {
      const char c = peek();
      if (c == '#') {
        at_ = end_of_line(text_, at_);
      } else if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
        ++at_;
      } else {
        return;
      }
    }
  }

  DottedKey dotted_key(const std::string& prefix) {
    DottedKey key{.name = prefix};
    while (!done()) {
      skip_spaces();
      key.offset = at_;
      const std::string part = key_part();
      key.length = at_ - key.offset;
      key.name += key.name.empty() ? part : "." + part;
      skip_spaces();
      if (peek() != '.') break;
      ++at_;
    }
    return key;
  }

  std::string key_part() {
    const std::size_t start = at_;
    if (peek() == '"' || peek() == '\'') {
      at_ = end_of_string(text_, at_);
      return std::string(text_.substr(start + 1, at_ - start - std::min<std::size_t>(2, at_ - start)));
    }
    constexpr std::string_view kEnds = " \t\r\n.=[]{},#\"'";
    at_ = std::min(text_.find_first_of(kEnds, at_), text_.size());
    return std::string(text_.substr(start, at_ - start));
  }

  void remember(const DottedKey& key, TextRange value) {
    found_.try_emplace(key.name, KeyPlace{{key.offset, key.length}, value});
  }

  std::string header() {
    while (peek() == '[') ++at_;
    const DottedKey key = dotted_key("");
    remember(key, {});
    at_ = end_of_line(text_, at_);
    return key.name;
  }

  void key_and_value(const std::string& prefix) {
    const DottedKey key = dotted_key(prefix);
    const std::size_t behind_key = at_;
    if (peek() == '=') ++at_;
    skip_spaces();
    const std::size_t start = at_;
    value(key.name);
    std::size_t end = std::min(at_, text_.size());
    while (end > start && (text_[end - 1] == ' ' || text_[end - 1] == '\t')) --end;
    remember(key, {start, end - start});
    if (at_ == behind_key) ++at_;  // not a key at all: go on behind it
  }

  void value(const std::string& name) {
    if (peek() == '"' || peek() == '\'') {
      at_ = end_of_string(text_, at_);
    } else if (peek() == '[') {
      list(name);
    } else if (peek() == '{') {
      inline_table(name);
    } else {
      at_ = std::min(text_.find_first_of(",]}#\r\n", at_), text_.size());
    }
  }

  void list(const std::string& name) {
    ++at_;
    for (skip_blank(); !done() && peek() != ']'; skip_blank()) {
      if (peek() == ',' || peek() == '}') {
        ++at_;
      } else {
        value(name);
      }
    }
    ++at_;
  }

  void inline_table(const std::string& name) {
    ++at_;
    for (skip_blank(); !done() && peek() != '}'; skip_blank()) {
      if (peek() == ',' || peek() == ']') {
        ++at_;
      } else {
        key_and_value(name);
      }
    }
    ++at_;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::map<std::string, KeyPlace> found_;
};

/// The offset behind a multi-line string whose three quotes are at `start`; up to two more quotes belong to it.
std::size_t end_of_multi_line(std::string_view text, std::size_t start) {
  const char quote = text[start];
  for (std::size_t i = start + 3; i < text.size(); ++i) {
    if (quote == '"' && text[i] == '\\') {
      ++i;
    } else if (text.substr(i, 3) == std::string(3, quote)) {
      i += 3;
      for (int extra = 0; extra < 2 && i < text.size() && text[i] == quote; ++extra) ++i;
      return i;
    }
  }
  return text.size();
}

}  // namespace

std::size_t end_of_string(std::string_view text, std::size_t start) {
  const char quote = text[start];
  if (text.substr(start, 3) == std::string(3, quote)) return end_of_multi_line(text, start);
  for (std::size_t i = start + 1; i < text.size(); ++i) {
    if (text[i] == '\n') return i;
    if (text[i] == quote) return i + 1;
    if (quote == '"' && text[i] == '\\' && i + 1 < text.size() && text[i + 1] != '\n') ++i;
  }
  return text.size();
}

std::size_t end_of_line(std::string_view text, std::size_t start) {
  return std::min(text.find('\n', start), text.size());
}

std::optional<std::size_t> open_list(std::string_view text, std::size_t end) {
  std::vector<std::size_t> open;
  for (std::size_t at = 0; at < std::min(end, text.size());) {
    const char c = text[at];
    if (c == '[') open.push_back(at);
    if (c == ']' && !open.empty()) open.pop_back();
    if (c == '"' || c == '\'')
      at = end_of_string(text, at);
    else
      at = c == '#' ? end_of_line(text, at) : at + 1;
  }
  return open.empty() ? std::nullopt : std::optional(open.front());
}

std::map<std::string, KeyPlace> find_keys(std::string_view text) { return KeyScanner(text).scan(); }

}  // namespace ferula
