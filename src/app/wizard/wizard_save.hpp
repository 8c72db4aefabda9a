// What the wizard leaves behind: the configuration, the old one beside it, answers that are kept, commands to go on.
#pragma once

#include <string>

#include "app/wizard/wizard.hpp"

namespace ferula {

/// Writes the configuration to `path`. An existing file is an error, or with `Replace::existing` is kept first, under
/// the first free of PATH.bak, PATH.bak.2, …, whose name is returned; else empty.
std::string save_configuration(FileSystem& files, const std::string& path, const std::string& toml, Replace replace);

/// Where answers to the questions for `path` are kept: "train.answers.toml".
std::string kept_answers_path(const std::string& path);
/// Keeps them there, or beside it where another file has the name. Returns the path.
std::string keep_answers(FileSystem& files, const std::string& path, const Answers& answers);

/// The commands that check, plan and run the configuration, each in a line of its own.
std::string next_commands(const WizardView& view, const std::string& path);

}  // namespace ferula
