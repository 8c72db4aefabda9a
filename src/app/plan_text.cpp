#include "app/plan_text.hpp"

#include <algorithm>

#include "app/model_setup.hpp"
#include "app/table.hpp"
#include "base/human.hpp"
#include "schedule/schedule.hpp"

namespace ferula {
namespace {

std::string trained_in_words(const UnitSpec& unit) {
  const auto trained = std::count_if(unit.params.begin(), unit.params.end(), [](const auto& p) { return p.trainable; });
  if (trained == std::ssize(unit.params)) return "all";
  return trained == 0 ? "none" : fmt::format("{} tensors", trained);
}

std::string units_table(const ModelSpec& model) {
  Table table({"unit (gathered and reduced together)", "tensors", "parameters", "trained"});
  for (std::size_t first = 0; first < model.size();) {
    const UnitSpec& unit = model[first];
    const auto alike = [&](const UnitSpec& other) {
      return other.params.size() == unit.params.size() && other.count() == unit.count() &&
             trained_in_words(other) == trained_in_words(unit);
    };
    std::size_t end = first + 1;
    while (end < model.size() && alike(model[end])) ++end;
    const std::string name = end - first == 1 ? unit.name : fmt::format("{} to {}", unit.name, model[end - 1].name);
    table.add({name, fmt::format("{}", unit.params.size()), human_count(static_cast<double>(unit.count())),
               trained_in_words(unit)});
    first = end;
  }
  return table.text();
}

std::string placements_table(const Config& config, Mesh& mesh) {
  const StoreSettings settings = store_settings(config, StoreUse::training);
  const ZeroPlan plan = make_zero_plan(settings.stage, settings.reduction, mesh, settings.offload.tier);
  Table table({"state", "cut over ranks", "copies", "memory"});
  const auto add = [&](const char* name, const Placement& placement) {
    table.add({name, fmt::format("{}", placement.shard->size()), fmt::format("{}", placement.replica->size()),
               placement.tier == Tier::host ? "host" : "device"});
  };
  add("optimizer", plan.optimizer);
  add("gradient", plan.gradient);
  add("parameter", plan.parameter);
  return table.text();
}

}  // namespace

std::string plan_text(const Config& config, const TransformerSpec& spec, Mesh& mesh) {
  const Schedule schedule = training_schedule(mesh.pipeline().rank(), mesh.pipeline().size(),
                                              config.training.gradient_accumulation_steps.get());
  return fmt::format("{}\n{}\na step of rank {}:\n{}", units_table(model_table(config, spec)),
                     placements_table(config, mesh), mesh.world().rank(), to_text(schedule));
}

}  // namespace ferula
