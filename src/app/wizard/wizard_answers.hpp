// Answers of the wizard as a file: what `--answers` reads, and what is kept when the questions end early.
#pragma once

#include <string>

#include "app/wizard/wizard.hpp"

namespace ferula {

/// A line for each answer: `zero_stage = 2`. Begins with a comment by which `is_kept_by_wizard` knows it again.
std::string answers_toml(const Answers& answers);
bool is_kept_by_wizard(std::string_view text);

/// The answers in a TOML text. Throws ConfigMistakes: no TOML, a name that no question has, a value that is no answer.
Answers answers_in(const std::string& text, const std::string& origin);

/// The table of questions as docs/wizard.md has it, or for the terminal.
std::string questions_markdown();
std::string questions_text();

}  // namespace ferula
