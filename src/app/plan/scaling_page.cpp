// The forecast of `ferula plan --scaling` as people and programs read it.
#include <boost/json.hpp>

#include "app/plan/scaling.hpp"
#include "app/table.hpp"
#include "base/human.hpp"

namespace ferula {
namespace {

namespace json = boost::json;

std::string cell(const std::optional<ScaledLayout>& layout) {
  if (!layout) return "-";
  return fmt::format("{:.1f} %  {}{}", 100.0 * layout->efficiency, time_in_cell(layout->step.total()),
                     layout->fits ? "" : " *");
}

std::vector<std::string> header_of(const ScalingForecast& forecast) {
  std::vector<std::string> columns{forecast.place};
  for (const int ranks : forecast.ranks) columns.push_back(fmt::format("{} rank{}", ranks, ranks == 1 ? "" : "s"));
  return columns;
}

std::string waiting_cell(const std::optional<ScaledLayout>& layout) {
  if (!layout) return "-";
  return fmt::format("{}  {}", time_in_cell(layout->step.waiting_s), human_bytes(layout->bytes));
}

json::value as_json(const std::optional<ScaledLayout>& layout) {
  if (!layout) return nullptr;
  return {{"ranks", layout->ranks},
          {"seconds", layout->step.total()},
          {"passes_seconds", layout->step.passes_s},
          {"updating_seconds", layout->step.updating_s},
          {"waiting_seconds", layout->step.waiting_s},
          {"efficiency", layout->efficiency},
          {"bytes", layout->bytes},
          {"fits", layout->fits}};
}

}  // namespace

std::string scaling_page(const Plan& plan, const ScalingForecast& forecast) {
  Table times(header_of(forecast)), waits(header_of(forecast));
  bool all_fit = true;
  for (const ScalingRow& row : forecast.rows) {
    std::vector<std::string> time_cells{row.name}, wait_cells{row.name};
    for (const auto& layout : row.layouts) {
      time_cells.push_back(cell(layout));
      wait_cells.push_back(waiting_cell(layout));
      all_fit = all_fit && (!layout || layout->fits);
    }
    times.add(std::move(time_cells));
    waits.add(std::move(wait_cells));
  }
  return fmt::format(
      "{}: as much work for each rank on more and more of them, {} samples of {} tokens a step\n"
      "  computing    {}\n  sending      {}\n  alone        {} a step: {} to compute, {} to update\n\n"
      "tokens a second of a rank, as a share of one alone, and a step\n{}{}\n"
      "waiting of a step that computing does not hide, and what a rank holds\n{}",
      plan.path, forecast.samples_of_rank, plan.config.data.sequence_length, forecast.computing, forecast.sending,
      time_in_cell(forecast.alone.total()), time_in_cell(forecast.alone.passes_s),
      time_in_cell(forecast.alone.updating_s), times.text(), all_fit ? "" : "* does not fit\n", waits.text());
}

std::string scaling_json(const ScalingForecast& forecast) {
  json::array rows;
  for (const ScalingRow& row : forecast.rows) {
    json::array layouts;
    for (const auto& layout : row.layouts) layouts.push_back(as_json(layout));
    rows.push_back(json::object{{"name", row.name}, {"stage", row.stage}, {"shard", row.shard}, {"layouts", layouts}});
  }
  return json::serialize(json::object{{"place", forecast.place},
                                      {"computing", forecast.computing},
                                      {"sending", forecast.sending},
                                      {"samples_of_rank", forecast.samples_of_rank},
                                      {"alone_seconds", forecast.alone.total()},
                                      {"rows", rows}});
}

}  // namespace ferula
