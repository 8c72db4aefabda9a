// Reading what files and programs of a system say.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "doctor/system_facts.hpp"

namespace ferula {

std::string trimmed(std::string_view text);
/// The pieces between separators, trimmed; without the empty ones.
std::vector<std::string> pieces(std::string_view text, char separator);
/// The first number of a text ("16384 kB" is 16384); absent where it has none.
std::optional<double> first_number(std::string_view text);
/// What stands behind `key` at the beginning of a line, without ':', '=' and blanks: "MemTotal:  16 kB" is "16 kB".
std::optional<std::string> value_of(std::string_view text, std::string_view key);
/// How many numbers a list as "0-3,8" has.
int count_in_list(std::string_view list);
/// The first line that contains `word`; absent without one.
std::optional<std::string> line_with(std::string_view text, std::string_view word);
/// "1.2.3" before "1.10": by number.
bool is_older(std::string_view version, std::string_view than);
/// The first word of a text that looks like a version: "4.1.4".
std::optional<std::string> version_in(std::string_view text);

/// The first number of a file; absent without one.
std::optional<double> number_in_file(const SystemFacts& facts, const std::string& path);
/// The folders of the control groups that this process is in, innermost first, with all above them: of version 2, and
/// of `controller` ("memory") in version 1.
std::vector<std::string> group_folders(const SystemFacts& facts, std::string_view controller);
/// The smallest number that a file of these names has in one of the folders; absent where none has one ("max").
std::optional<double> least_in_groups(const SystemFacts& facts, std::string_view controller,
                                      const std::vector<std::string>& names);
/// The first line of what `words` print; absent where that program is missing or fails.
std::optional<std::string> answer_of(const SystemFacts& facts, const std::vector<std::string>& words);

}  // namespace ferula
