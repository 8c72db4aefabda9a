// Shared by the tests of the configuration: a small legal text, loading that returns mistakes, the shipped files.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "config/load_config.hpp"
#include "config/resolve_config.hpp"

namespace ferula {

/// A legal configuration with the fewest keys.
inline const std::string kSmallest =
    "[data]\n"
    "text = [\"a.txt\"]\n"
    "[training]\n"
    "steps = 10\n"
    "train_batch_size = 8\n";

/// The top of the source tree.
std::filesystem::path source_root();

/// The shipped configurations, sorted by name.
std::vector<std::filesystem::path> shipped_configs();

std::string read_text(const std::filesystem::path& path);

/// Loads a text that must be legal.
LoadedConfig load(const std::string& text, const std::vector<std::string>& sets = {},
                  const Environment& environment = {});

/// The mistakes of loading and of resolving with `facts`, together; empty where there are none.
std::vector<ConfigMistake> mistakes_of(const std::string& text, const std::vector<std::string>& sets = {},
                                       const Environment& environment = {}, const ResolveFacts& facts = {});

/// All mistakes in one text, for messages of tests.
std::string shown(const std::vector<ConfigMistake>& mistakes);

}  // namespace ferula
