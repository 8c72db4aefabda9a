#include "app/jobs/run_status.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <fstream>

#include "app/jobs/job_record.hpp"
#include "cluster/pending_reason.hpp"
#include "config/load_config.hpp"
#include "storage/posix_lock.hpp"
#include "train/run_directory.hpp"

namespace ferula {
namespace {

namespace json = boost::json;
constexpr std::int64_t kTailBytes = 1 << 16;

/// A folder of that name, or one that may not be looked into, has nothing to tell.
bool is_readable_file(const std::filesystem::path& path) {
  std::error_code hidden;
  return std::filesystem::is_regular_file(path, hidden);
}

/// The last whole line of a file that may be written at this moment; null where there is none.
json::value last_line(const std::filesystem::path& path) {
  std::ifstream file;
  if (is_readable_file(path)) file.open(path, std::ios::binary | std::ios::ate);
  if (!file.is_open()) return nullptr;
  const std::int64_t bytes = file.tellg(), begin = std::max<std::int64_t>(0, bytes - kTailBytes);
  file.seekg(begin);
  std::string tail(static_cast<std::size_t>(bytes - begin), '\0');
  file.read(tail.data(), std::ssize(tail));
  const std::size_t end = tail.rfind('\n');
  if (end == std::string::npos || end == 0) return nullptr;
  const std::size_t before = tail.rfind('\n', end - 1);
  const std::size_t first = before == std::string::npos ? 0 : before + 1;
  boost::system::error_code bad;
  json::value value = json::parse(tail.substr(first, end - first), bad);
  return bad ? json::value(nullptr) : value;
}

std::optional<double> number(const json::value& object, std::string_view key) {
  const json::value* found = object.is_object() ? object.as_object().if_contains(key) : nullptr;
  if (found == nullptr || !found->is_number()) return std::nullopt;
  return found->to_number<double>();
}

std::string exit_reason(const std::filesystem::path& summary) {
  if (!is_readable_file(summary)) return "";
  std::ifstream file(summary, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  boost::system::error_code bad;
  const json::value value = json::parse(text, bad);
  const json::value* reason = !bad && value.is_object() ? value.as_object().if_contains("exit_reason") : nullptr;
  if (reason == nullptr || !reason->is_string()) return "";
  const std::string words(reason->as_string());
  return words.substr(0, words.find('\n'));
}

std::optional<std::int64_t> configured_steps(const std::filesystem::path& config) {
  try {
    const std::array<std::string, 1> sets{"model.path="};  // what the run began from may be gone
    return load_config(config.string(), {}, sets).config.training.steps.value;
  } catch (const Error&) {
    return std::nullopt;
  }
}

bool is_log_of_array(const std::string& log) { return log.ends_with("_N.out"); }

/// The record of the run's job; a task of an array has that of the array, which is called as the run without "-N".
std::optional<JobRecord> record_of(const std::filesystem::path& run) {
  const std::unique_ptr<FileSystem> files = make_posix_file_system();
  if (auto own = read_job_record(*files, run)) return own;
  const std::string name = run.filename().string();
  const std::size_t dash = name.rfind('-');
  if (dash == std::string::npos || dash + 1 == name.size()) return std::nullopt;
  const std::string task = name.substr(dash + 1);
  if (task.find_first_not_of("0123456789") != std::string::npos) return std::nullopt;
  auto array = read_job_record(*files, run.parent_path() / name.substr(0, dash));
  if (!array) return std::nullopt;
  array->job += "_" + task;
  if (is_log_of_array(array->log)) array->log.replace(array->log.rfind('N'), 1, task);
  return array;
}

std::string queued_state(const QueuedJob& job) {
  if (job.state == "PENDING") {
    const std::string start = job.start.empty() ? "" : ", expected to start " + job.start;
    return fmt::format("queued, {}{}", reason_in_words(job.reason), start);
  }
  if (job.state == "RUNNING") return fmt::format("running on {}, {} left", job.reason, job.time_left);
  return fmt::format("{} {}", job.state, job.reason);
}

/// "an array, with a run for each task: my-N; 2 running, 5 queued". Tasks that have ended are no longer in the queue.
std::string array_state(const std::string& name, const std::string& number,
                        const std::map<std::string, QueuedJob>& jobs) {
  std::int64_t running = 0, queued = 0, others = 0;
  for (auto job = jobs.lower_bound(number + "_"); job != jobs.end() && job->first.starts_with(number + "_"); ++job)
    ++(job->second.state == "RUNNING" ? running : job->second.state == "PENDING" ? queued : others);
  std::string state = fmt::format("an array, with a run for each task: {}-N", name);
  if (running + queued + others == 0) return state + "; no task is left in the queue";
  return fmt::format("{}; {} running, {} queued{}", state, running, queued,
                     others == 0 ? "" : fmt::format(", {} starting or ending", others));
}

std::string state_of(const RunDirectory& run, const RunStatus& status, const std::map<std::string, QueuedJob>& jobs) {
  if (is_log_of_array(status.log)) return array_state(run.root.filename().string(), status.job, jobs);
  const auto job = jobs.find(status.job);
  if (!status.job.empty() && job != jobs.end()) return queued_state(job->second);
  if (const auto holder = posix_lock_note(run.lock().string())) return fmt::format("running: {}", *holder);
  const std::string reason = exit_reason(run.summary());
  if (!reason.empty()) return reason;
  if (status.step) return "ended without a word (killed, or out of memory); started again it goes on";
  if (is_readable_file(run.log())) return "never came to its first step; its log.txt tells why";
  if (!is_readable_file(status.log)) return "not started";
  return fmt::format("nothing trained yet; {} tells what its job did",
                     std::filesystem::path(status.log).filename().string());
}

bool is_run(const std::filesystem::path& folder) {
  for (const char* name : {"config.toml", "log.txt", "job.json"})
    if (is_readable_file(folder / name)) return true;
  return false;
}

}  // namespace

std::vector<std::filesystem::path> find_runs(const std::vector<std::string>& places) {
  std::vector<std::filesystem::path> runs;
  for (const std::string& place : places) {
    std::error_code unreadable;
    if (is_run(place)) {
      runs.emplace_back(place);
      continue;
    }
    for (const auto& entry : std::filesystem::directory_iterator(place, unreadable))
      if (entry.is_directory(unreadable) && is_run(entry.path())) runs.push_back(entry.path());
  }
  std::sort(runs.begin(), runs.end());
  return runs;
}

RunStatus run_status(const std::filesystem::path& run, const std::map<std::string, QueuedJob>& jobs) {
  const RunDirectory directory{run};
  RunStatus status{.run = run.string()};
  if (const auto record = record_of(run)) {
    status.job = record->job;
    status.log = record->log;
  }
  const json::value metrics = last_line(directory.metrics());
  if (const auto step = number(metrics, "step")) status.step = static_cast<std::int64_t>(*step);
  status.loss = number(metrics, "loss");
  status.tokens_per_second = number(metrics, "tokens_per_second");
  status.steps = configured_steps(directory.config());
  status.state = state_of(directory, status, jobs);
  const auto step_seconds = number(metrics, "step_seconds");
  const bool goes_on = status.state.starts_with("running");
  if (goes_on && status.step && status.steps && step_seconds)
    status.eta_s = static_cast<double>(*status.steps - *status.step) * *step_seconds;
  return status;
}

}  // namespace ferula
