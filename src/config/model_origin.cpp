#include "config/model_origin.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <variant>

#include "config/config_rules.hpp"
#include "config/setting.hpp"
#include "config/setting_value.hpp"

namespace ferula {
namespace {

/// What belongs to the values; dropout and initial values do not.
constexpr std::array<std::string_view, 13> kKeys = {
    "model.family",    "model.layers",     "model.width",      "model.heads",    "model.kv_heads",
    "model.ffn_width", "model.context",    "model.vocabulary", "model.head_dim", "model.tied_embeddings",
    "model.norm_eps",  "model.rope_theta", "data.tokenizer"};

constexpr std::string_view kAdvice =
    "give a folder of `ferula checkpoint import`, a run or a checkpoint. A run that has begun needs it no more: "
    "`ferula "
    "train RUN/config.toml --set model.path=`";

/// The configuration in the folder of the model; nothing where that is a mistake, which is reported.
std::optional<Config> config_of_model(const LoadedConfig& loaded, MistakeCollector& mistakes) {
  const std::string file = loaded.config.model.path + "/config.toml";
  try {
    // The path of what that model began from is of no interest, and may be gone.
    const std::array<std::string, 1> sets{"model.path="};
    return load_config_text(read_config_text(file, kAdvice), file, {}, sets, ConfigUse::inference).config;
  } catch (const ConfigMistakes&) {
    report_rule(loaded, mistakes, {"model.path"},
                fmt::format("model.path: expected the configuration of a model, found mistakes in '{}'", file),
                fmt::format("`ferula config check {}` names them; {}", file, kAdvice));
  } catch (const ConfigError& error) {
    report_rule(loaded, mistakes, {"model.path"}, fmt::format("model.path: {}", error.what()), "");
  }
  return std::nullopt;
}

void copy_value(const Setting& from, Setting& to) {
  std::visit([&](auto* target) { *target = *std::get<std::remove_cvref_t<decltype(target)>>(from.target); }, to.target);
}

bool is_given(const ValueSource& source, const Setting& setting) {
  return source.kind != SourceKind::default_value && source.kind != SourceKind::automatic && !setting.is_auto();
}

/// A shorter context of rotary positions needs no other values.
bool is_legal_context(const Setting& setting, const Config& own, const Config& model) {
  return setting.key == "model.context" && model.model.family != "gpt2" && own.model.context < model.model.context;
}

}  // namespace

void apply_model_path(LoadedConfig& loaded, MistakeCollector& mistakes) {
  if (loaded.config.model.path.empty()) return;
  std::optional<Config> model = config_of_model(loaded, mistakes);
  if (!model) {
    for (const std::string_view key : kKeys) mistakes.doubt(std::string(key));
    return;
  }
  std::vector<Setting> ours = settings_of(loaded.config);
  const std::vector<Setting> theirs = settings_of(*model);
  for (std::size_t index = 0; index < ours.size(); ++index) {
    Setting& setting = ours[index];
    if (std::find(kKeys.begin(), kKeys.end(), setting.key) == kKeys.end()) continue;
    ValueSource& source = loaded.sources.at(setting.key);
    if (!is_given(source, setting)) {
      copy_value(theirs[index], setting);
      source.kind = SourceKind::automatic;
      source.reason = fmt::format("the model in {}", loaded.config.model.path);
    } else if (value_text(setting) != value_text(theirs[index]) && !is_legal_context(setting, loaded.config, *model)) {
      report_rule(loaded, mistakes, {setting.key, "model.path"},
                  fmt::format("{}: expected {} of the model in {}, found {}", setting.key, value_text(theirs[index]),
                              loaded.config.model.path, value_text(setting)),
                  "remove it, or remove model.path to train another model from nothing");
      if (setting.key == "data.tokenizer") mistakes.doubt("model.vocabulary");
    }
  }
}

}  // namespace ferula
