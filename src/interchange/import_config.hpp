// Reads a configuration of DeepSpeed, accelerate or a training script: what it sets here, and what became of each key.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "config/diagnostic.hpp"
#include "interchange/key_mapping.hpp"

namespace ferula {

enum class KeyFate : unsigned char {
  mapped,       // set here
  implied,      // not in the file; what its silence means there
  left_open,    // "auto", which another program would fill in
  off,          // switches off what is not here either
  meaningless,  // known, but nothing here depends on it
  unsupported,  // known, but belongs to a feature that does not exist yet
  unknown
};

struct ImportedKey {
  KeyFate fate = KeyFate::unknown;
  std::string theirs;
  std::string text;  // of a mapped key "training.steps = 5", else a clause behind the key
  SourceLocation where;
};

struct ImportedConfig {
  Dialect dialect = Dialect::other;
  std::vector<std::string> sets;                 // as for `--set`
  std::vector<ImportedKey> keys;                 // in the order of the file
  std::map<std::string, SourceLocation> places;  // of the settings that the file has set
  std::int64_t ranks = 1;                        // for which the file's batch triangle holds
};

/// Imports `text`, the content of the file `origin`. Throws ConfigMistakes: what is no JSON and no YAML, and each value
/// that its setting does not take.
ImportedConfig import_config(const std::string& text, const std::string& origin);

/// Mistakes of `sets` (origin `--set`) at the places of the file that caused them.
std::vector<ConfigMistake> at_imported_places(std::vector<ConfigMistake> mistakes, const ImportedConfig& imported);

}  // namespace ferula
