#include "app/config_match.hpp"

#include <array>

#include "checkpoint/checkpoint_reader.hpp"
#include "config/config_text.hpp"
#include "config/load_config.hpp"

namespace ferula {
namespace {

std::string changes_of(const std::vector<ConfigDifference>& differences, ResumeEffect effect) {
  std::string text;
  for (const ConfigDifference& difference : differences)
    if (difference.effect == effect)
      text += fmt::format("\n  {}: was {}, is {}", difference.key, difference.before, difference.after);
  return text;
}

std::string_view remedy(StoreUse use) {
  return use == StoreUse::training
             ? "change them back, choose another run.name, or start anew with --resume never"
             : "change them back, or use --checkpoint DIR without these settings, which takes them from the checkpoint";
}

}  // namespace

std::string match_configuration(RankContext& context, const std::string& checkpoint, const Config& config,
                                StoreUse use) {
  const CheckpointReader reader(context.files, context.execution.device, checkpoint);
  const std::array<std::string, 1> sets{"model.path="};  // what its run began from may be gone
  const Config before =
      load_config_text(reader.config_text(), checkpoint + "/config.toml", {}, sets, ConfigUse::inference).config;
  std::vector<ConfigDifference> differences = differences_that_matter(before, config);
  if (use == StoreUse::inference)
    std::erase_if(differences, [](const auto& difference) { return difference.key.starts_with("optimizer."); });
  const std::string impossible = changes_of(differences, ResumeEffect::incompatible);
  if (!impossible.empty())
    throw ConfigError(fmt::format("{} was written by another model or precision:{}\nexpected the same values; {}",
                                  checkpoint, impossible, remedy(use)));
  return changes_of(differences, ResumeEffect::changes_training);
}

}  // namespace ferula
