// Man pages and shell completion, from the table of commands and that of settings.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "app/command.hpp"

namespace ferula {

/// A page of man(7), section 1: of the program, or of one command as `ferula-NAME`.
std::string man_page(std::span<const Command> commands);
std::string man_page(const Command& command);

/// Writes ferula.1 and ferula-NAME.1 of every command into `folder`, which is made where it is missing.
void write_man_pages(std::span<const Command> commands, const std::filesystem::path& folder);

/// The script that completes commands, actions, options and, behind --set, keys. Throws ConfigError unless `shell` is
/// bash, zsh or fish.
std::string completion_script(std::span<const Command> commands, std::string_view shell);

}  // namespace ferula
