// A plan for programs.
#include <boost/json.hpp>

#include "app/plan/plan_page.hpp"

namespace ferula {
namespace {

namespace json = boost::json;

json::object by_kind(const MemoryByKind& bytes) {
  json::object memory;
  for (std::size_t kind = 0; kind < kMemoryKinds; ++kind)
    memory[name_of(static_cast<MemoryKind>(kind))] = bytes.at(kind);
  memory["all"] = sum_of(bytes);
  return memory;
}

json::value as_json(const std::optional<StepTime>& time) {
  if (!time) return nullptr;
  return {{"computing", time->computing_s}, {"sending", time->sending_s}, {"step", time->total()}};
}

/// `time`: where the layout is timed at all.
json::object as_json(const PlannedLayout& layout, const std::optional<StepTime>& time) {
  json::object memory = by_kind(layout.memory);
  memory["host"] = layout.host_bytes;
  return {{"zero_stage", layout.stage},        {"ranks", layout.ranks},
          {"micro_batch", layout.micro_batch}, {"accumulation", layout.accumulation},
          {"memory", std::move(memory)},       {"sent_bytes", layout.sent_bytes()},
          {"seconds", as_json(time)}};
}

json::value as_json(const std::optional<PlannedLayout>& layout, const std::optional<StepTime>& time) {
  return layout ? json::value(as_json(*layout, time)) : json::value(nullptr);
}

json::object as_json(const PlannedInference& inference) {
  return {{"zero_stage", inference.stage},
          {"ranks", inference.ranks},
          {"loaded", by_kind(inference.memory.loaded)},
          {"generating", by_kind(inference.memory.generating)}};
}

json::value as_json(const std::optional<PlannedInference>& inference) {
  return inference ? json::value(as_json(*inference)) : json::value(nullptr);
}

/// "measured" names the run, or is null for an assumption.
json::object as_json(const Pace& pace) {
  const auto known = [](double value) { return value > 0.0 ? json::value(value) : json::value(nullptr); };
  return {{"flops_per_second", known(pace.flops_per_second)},
          {"measured", pace.measured ? json::value(pace.measured->run) : json::value(nullptr)},
          {"computing", pace.computing},
          {"sending", pace.sending}};
}

json::object as_json(const Plan& plan, const PlannedCard& card) {
  json::array by_stage;
  const auto timed = [&](const std::optional<PlannedLayout>& layout) {
    return as_json(layout, layout ? step_time(*layout, plan.flops_per_sample(), card.pace) : std::nullopt);
  };
  for (const auto& layout : card.fewest) by_stage.push_back(timed(layout));
  return {{"card", card.type.name},
          {"memory_gib", card.type.memory_gib},
          {"assumed_overhead_bytes", kGpuOverhead},
          {"pace", as_json(card.pace)},
          {"fewest_ranks_by_stage", std::move(by_stage)},
          {"fewest_ranks_offloaded", timed(card.fewest_offloaded)},
          {"alone", as_json(card.alone, step_time(card.alone, plan.flops_per_sample(), card.pace))},
          {"loading", as_json(card.loading)},
          {"generating", as_json(card.generating)},
          {"training", training_verdict(plan, card)}};
}

json::value number_or_null(const std::optional<std::int64_t>& number) {
  return number ? json::value(*number) : json::value(nullptr);
}

}  // namespace

std::string plan_json(const Plan& plan) {
  json::array stages, neighbours, inferences, cards;
  for (const PlannedLayout& layout : plan.stages) stages.push_back(as_json(layout, plan.time_of(layout)));
  for (const Neighbour& near : plan.neighbours) {
    json::object row = as_json(near.layout, plan.time_of(near.layout));
    row["name"] = near.name();
    neighbours.push_back(std::move(row));
  }
  for (const PlannedInference& each : plan.inferences) inferences.push_back(as_json(each));
  for (const PlannedCard& card : plan.cards) cards.push_back(as_json(plan, card));
  const std::optional<std::int64_t> room = plan.host_room(plan.ranks);
  const bool fits = room && plan.own().bytes_on_host() <= *room;
  const auto nearest_time = plan.nearest_fit ? plan.time_of(*plan.nearest_fit) : std::nullopt;
  return json::serialize(
      json::object{{"ranks", plan.ranks},
                   {"ranks_per_node", plan.ranks_on_node},
                   {"place", plan.place},
                   {"pace", as_json(plan.pace)},
                   {"flops_per_step", plan.flops_per_step()},
                   {"steps", number_or_null(plan.config.training.steps.value)},
                   {"job_limit_seconds", plan.queue ? number_or_null(plan.queue->time_s) : json::value(nullptr)},
                   {"stages", std::move(stages)},
                   {"neighbours", std::move(neighbours)},
                   {"inference", std::move(inferences)},
                   {"host_bytes_a_rank", number_or_null(room)},
                   {"fits_this_host", room ? json::value(fits) : json::value(nullptr)},
                   {"nearest_fit", as_json(plan.nearest_fit, nearest_time)},
                   {"cards", std::move(cards)}});
}

}  // namespace ferula
