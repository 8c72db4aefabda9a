#include "doctor/facts_text.hpp"

#include <algorithm>
#include <cctype>
#include <cstdlib>

namespace ferula {
namespace {

constexpr std::string_view kBlanks = " \t\r\n";

bool is_digit(char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; }

std::vector<int> version_numbers(std::string_view version) {
  std::vector<int> numbers;
  for (const std::string& piece : pieces(version, '.')) numbers.push_back(std::atoi(piece.c_str()));
  return numbers;
}

}  // namespace

std::string trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return std::string(text.substr(first, text.find_last_not_of(kBlanks) - first + 1));
}

std::vector<std::string> pieces(std::string_view text, char separator) {
  std::vector<std::string> found;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(separator), text.size());
    if (std::string piece = trimmed(text.substr(0, end)); !piece.empty()) found.push_back(std::move(piece));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return found;
}

std::optional<double> first_number(std::string_view text) {
  const auto first = std::find_if(text.begin(), text.end(), is_digit);
  if (first == text.end()) return std::nullopt;
  return std::strtod(std::string(first, text.end()).c_str(), nullptr);
}

std::optional<std::string> value_of(std::string_view text, std::string_view key) {
  for (const std::string& line : pieces(text, '\n')) {
    if (!line.starts_with(key)) continue;
    const std::size_t value = line.find_first_not_of(" \t:=", key.size());
    if (value == key.size()) continue;  // a longer name that begins so
    return value == std::string::npos ? "" : line.substr(value);
  }
  return std::nullopt;
}

int count_in_list(std::string_view list) {
  int count = 0;
  for (const std::string& range : pieces(list, ',')) {
    const int first = std::atoi(range.c_str());
    const std::size_t dash = range.find('-');
    count += dash == std::string::npos ? 1 : std::atoi(range.c_str() + dash + 1) - first + 1;
  }
  return count;
}

std::optional<std::string> line_with(std::string_view text, std::string_view word) {
  for (const std::string& line : pieces(text, '\n'))
    if (line.find(word) != std::string::npos) return line;
  return std::nullopt;
}

bool is_older(std::string_view version, std::string_view than) {
  return version_numbers(version) < version_numbers(than);
}

std::optional<std::string> version_in(std::string_view text) {
  for (auto at = std::find_if(text.begin(), text.end(), is_digit); at != text.end();
       at = std::find_if(at, text.end(), is_digit)) {
    const auto end = std::find_if_not(at, text.end(), [](char c) { return is_digit(c) || c == '.'; });
    const std::string word(at, end);
    if (const std::size_t dot = word.find('.'); dot != std::string::npos && dot + 1 < word.size()) return word;
    at = end;
  }
  return std::nullopt;
}

std::optional<double> number_in_file(const SystemFacts& facts, const std::string& path) {
  const auto text = facts.file(path);
  return text ? first_number(*text) : std::nullopt;
}

std::vector<std::string> group_folders(const SystemFacts& facts, std::string_view controller) {
  std::vector<std::string> folders;
  for (const std::string& line : pieces(facts.file("/proc/self/cgroup").value_or(""), '\n')) {
    const std::size_t controllers = line.find(':'), path = line.find(':', controllers + 1);
    if (controllers == std::string::npos || path == std::string::npos) continue;
    const std::string names = "," + line.substr(controllers + 1, path - controllers - 1) + ",";
    const bool is_named = names.find("," + std::string(controller) + ",") != std::string::npos;
    if (names != ",," && !is_named) continue;
    const std::string mount = is_named ? "/sys/fs/cgroup/" + std::string(controller) : "/sys/fs/cgroup";
    std::string group = line.substr(path + 1);
    while (!group.empty()) {
      if (group != "/") folders.push_back(mount + group);
      group.erase(group.rfind('/') == std::string::npos ? 0 : group.rfind('/'));
    }
    folders.push_back(mount);  // a container sees its own group there
  }
  return folders;
}

std::optional<double> least_in_groups(const SystemFacts& facts, std::string_view controller,
                                      const std::vector<std::string>& names) {
  std::optional<double> least;
  for (const std::string& folder : group_folders(facts, controller))
    for (const std::string& name : names)
      if (const auto number = number_in_file(facts, folder + "/" + name))
        least = std::min(least.value_or(*number), *number);
  return least;
}

std::optional<std::string> answer_of(const SystemFacts& facts, const std::vector<std::string>& words) {
  const auto result = facts.run(words);
  if (!result || result->code != 0) return std::nullopt;
  return trimmed(result->text.substr(0, result->text.find('\n')));
}

}  // namespace ferula
