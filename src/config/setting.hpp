// What the program knows about each setting: name, type, unit, limits, help. One table (settings.cpp) describes the
// members of `Config`; parser, validator, `config keys`, docs/configuration.md and templates all read it.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "config/run_config.hpp"

namespace ferula {

/// The member of one `Config` that a setting stands for. It views that object and must not outlive it.
using SettingTarget = std::variant<bool*, std::int64_t*, double*, std::string*, std::vector<std::string>*,
                                   std::vector<double>*, Auto<bool>*, Auto<std::int64_t>*, Auto<double>*>;

/// Which values are legal, beyond the type.
struct Limits {
  std::optional<double> least;
  std::optional<double> most;
  bool above_least = false;  // least itself is not allowed
  bool below_most = false;   // most itself is not allowed
  std::optional<std::size_t> entries;
  std::vector<std::string> choices;        // the legal words
  std::vector<std::string> later_choices;  // words of features that do not exist yet
  bool integer_or_choice = false;          // a text that may also be a positive integer
  bool may_be_empty = false;               // an empty text stands for "not given"
};

/// What another value means for a run that is resumed.
enum class ResumeEffect { none, changes_training, incompatible };

/// One setting, bound to a `Config`.
struct Setting {
  std::string key;  // "model.layers"
  SettingTarget target;
  Limits limits;
  std::string help;                // one sentence
  std::string unit;                // "steps", "tokens", …; empty for pure numbers and words
  std::string auto_rule;           // what "auto" becomes
  std::vector<std::string> types;  // the optimizer or scheduler types that have this parameter; empty: all
  ResumeEffect effect = ResumeEffect::none;

  Setting& in(std::string new_unit);
  Setting& when_auto(std::string rule);
  Setting& of_types(std::initializer_list<std::string> owners);
  Setting& on_resume(ResumeEffect new_effect);

  /// The name without its section: "layers".
  std::string name() const { return key.substr(key.rfind('.') + 1); }
  bool is_auto() const;
};

/// A TOML table with the settings under it.
struct Section {
  std::string name;  // "model", "optimizer.params"
  std::string help;
};

/// All settings of `config`, in the order of the reference. They view `config`.
std::vector<Setting> settings_of(Config& config);

/// The tables of the file, in the order of the reference.
const std::vector<Section>& config_sections();

Limits at_least(double least);
Limits above(double least);
Limits between(double least, double most);
Limits from_below(double least, double most);  // least <= value < most
Limits one_of(std::initializer_list<std::string> choices, std::initializer_list<std::string> later = {});

}  // namespace ferula
