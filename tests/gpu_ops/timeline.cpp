#include "timeline.hpp"

#include <cxxabi.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <memory>

namespace ferula::gpu_test {
namespace {

using Interval = std::pair<std::uint64_t, std::uint64_t>;

/// The union of intervals, in order.
std::vector<Interval> merged(std::vector<Interval> intervals) {
  std::sort(intervals.begin(), intervals.end());
  std::vector<Interval> result;
  for (const Interval& each : intervals) {
    if (!result.empty() && each.first <= result.back().second)
      result.back().second = std::max(result.back().second, each.second);
    else
      result.push_back(each);
  }
  return result;
}

/// How much of the time at least one of them takes.
double length(std::vector<Interval> intervals) {
  double total = 0;
  for (const auto& [begin, end] : merged(std::move(intervals))) total += static_cast<double>(end - begin);
  return total;
}

/// How much of the time both take.
double beside(const std::vector<Interval>& some, const std::vector<Interval>& others) {
  std::vector<Interval> all = some;
  all.insert(all.end(), others.begin(), others.end());
  return length(some) + length(others) - length(std::move(all));
}

double share(double part, double whole) { return whole > 0 ? part / whole : 0.0; }

std::string readable(const std::string& linker_name) {
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> words(
      abi::__cxa_demangle(linker_name.c_str(), nullptr, nullptr, &status), &std::free);
  std::string name = status == 0 ? words.get() : linker_name;
  if (name.starts_with("void ")) name.erase(0, 5);
  for (const std::string_view noise : {"(anonymous namespace)::", "ferula::cuda::"})
    for (std::size_t at = name.find(noise); at != std::string::npos; at = name.find(noise))
      name.erase(at, noise.size());
  if (status == 0 && name.ends_with(')')) {  // the last parentheses are the parameters
    int depth = 0;
    std::size_t at = name.size();
    do {
      --at;
      depth += name[at] == ')' ? 1 : name[at] == '(' ? -1 : 0;
    } while (at > 0 && depth > 0);
    name.erase(at);
  }
  return name;
}

/// Where the steps that are looked at begin and end, and how many they are.
struct Window {
  std::uint64_t begin = 0, end = 0;
  std::int64_t steps = 0;
};

Window window_of(const std::vector<GpuActivity>& in_order, const StepMarks& marks) {
  std::vector<std::uint64_t> begins, pending;
  for (const GpuActivity& each : in_order) {
    if (each.name.find(marks.first) != std::string::npos) pending.push_back(each.begin);
    if (each.name.find(marks.update) == std::string::npos) continue;
    begins.insert(begins.end(), pending.begin(), pending.end());
    pending.clear();
  }
  if (begins.size() < 3) return {};
  const std::size_t first = begins.size() / 3;
  return {begins[first], begins.back(), static_cast<std::int64_t>(begins.size() - 1 - first)};
}

/// Gaps between activities that begin in the window, by the names beside them.
std::vector<Timeline::Gap> gaps_of(const std::vector<GpuActivity>& in_order, const Window& window) {
  std::map<std::pair<std::string, std::string>, Timeline::Gap> by_names;
  const GpuActivity* last = nullptr;  // the one that ended last
  for (const GpuActivity& each : in_order) {
    if (last != nullptr && each.begin > last->end && last->end >= window.begin && each.begin <= window.end) {
      Timeline::Gap& gap = by_names[{last->name, each.name}];
      gap.microseconds += static_cast<double>(each.begin - last->end) * 1e-3 / static_cast<double>(window.steps);
      gap.launches += 1.0 / static_cast<double>(window.steps);
    }
    if (last == nullptr || each.end > last->end) last = &each;
  }
  std::vector<Timeline::Gap> result;
  for (auto& [names, gap] : by_names) {
    gap.after = readable(names.first), gap.before = readable(names.second);
    result.push_back(gap);
  }
  std::sort(result.begin(), result.end(), [](const auto& a, const auto& b) { return a.microseconds > b.microseconds; });
  return result;
}

}  // namespace

Work work_of_kernel(const std::string& linker_name) {
  return linker_name.find("nccl") != std::string::npos ? Work::collective : Work::compute;
}

Timeline look_at(std::vector<GpuActivity> activities, const StepMarks& marks) {
  std::sort(activities.begin(), activities.end(), [](const auto& a, const auto& b) { return a.begin < b.begin; });
  const Window window = window_of(activities, marks);
  if (window.steps == 0) return {};
  std::vector<Interval> all;
  std::map<Work, std::vector<Interval>> of;
  std::map<std::string, Timeline::Row> by_name;
  const double of_a_step = 1e-3 / static_cast<double>(window.steps);
  for (const GpuActivity& each : activities) {
    const Interval inside{std::max(each.begin, window.begin), std::min(each.end, window.end)};
    if (inside.first >= inside.second) continue;
    all.push_back(inside);
    of[each.work].push_back(inside);
    Timeline::Row& row = by_name[each.name];
    row.microseconds += static_cast<double>(inside.second - inside.first) * of_a_step;
    row.launches += 1.0 / static_cast<double>(window.steps);
  }
  Timeline result{.steps = window.steps,
                  .microseconds = static_cast<double>(window.end - window.begin) * of_a_step,
                  .busy = length(std::move(all)) * of_a_step,
                  .copies = length(of[Work::copy]) * of_a_step,
                  .copies_beside_compute = beside(of[Work::copy], of[Work::compute]) * of_a_step,
                  .collectives = length(of[Work::collective]) * of_a_step,
                  .collectives_beside_compute = beside(of[Work::collective], of[Work::compute]) * of_a_step,
                  .rows = {},
                  .gaps = gaps_of(activities, window)};
  for (auto& [name, row] : by_name) {
    row.name = readable(name);
    result.rows.push_back(row);
  }
  std::sort(result.rows.begin(), result.rows.end(),
            [](const auto& a, const auto& b) { return a.microseconds > b.microseconds; });
  return result;
}

std::string text_of(const Timeline& timeline) {
  std::string text = fmt::format(
      "steps {}\nmicroseconds_per_step {:.1f}\nbusy_microseconds_per_step {:.1f}\nidle_share "
      "{:.4f}\ncopy_microseconds_per_step {:.1f}\n"
      "copies_beside_compute {:.4f}\ncollective_microseconds_per_step {:.1f}\ncollectives_beside_compute {:.4f}\n\n"
      "{:>12} {:>9} {:>7}  kernel\n",
      timeline.steps, timeline.microseconds, timeline.busy, timeline.idle_share(), timeline.copies,
      share(timeline.copies_beside_compute, timeline.copies), timeline.collectives,
      share(timeline.collectives_beside_compute, timeline.collectives), "us a step", "launches", "share");
  for (const Timeline::Row& row : timeline.rows)
    text += fmt::format("{:12.1f} {:9.1f} {:6.2f}%  {:.140}\n", row.microseconds, row.launches,
                        100.0 * row.microseconds / timeline.microseconds, row.name);
  text += fmt::format("\n{:>12} {:>9}  idle between\n", "us of a step", "times");
  for (const Timeline::Gap& gap : timeline.gaps)
    text += fmt::format("{:12.1f} {:9.1f}  {:.60} -> {:.60}\n", gap.microseconds, gap.launches, gap.after, gap.before);
  return text;
}

}  // namespace ferula::gpu_test
