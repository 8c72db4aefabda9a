#include "train/metrics_log.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <span>

namespace ferula {
namespace {

std::string json_number(double value) { return std::isfinite(value) ? fmt::format("{:.9g}", value) : "null"; }

std::string json_number(const std::optional<double>& value) { return value ? json_number(*value) : "null"; }

/// The number behind "step": of one of our own lines; nothing where the line was cut.
std::optional<std::int64_t> step_of_line(const std::string& line) {
  constexpr std::string_view kStart = "{\"step\": ";
  const std::size_t last = line.find_last_not_of(' ');
  if (line.rfind(kStart, 0) != 0 || line[last] != '}' || line.find('{', 1) != std::string::npos) return std::nullopt;
  return std::strtoll(line.c_str() + kStart.size(), nullptr, 10);
}

std::string lines_up_to(const std::filesystem::path& path, std::int64_t step) {
  std::ifstream old(path);
  std::string kept, line;
  while (std::getline(old, line)) {
    const std::optional<std::int64_t> of_line = line.empty() ? std::nullopt : step_of_line(line);
    if (of_line && *of_line <= step) kept += line + "\n";
  }
  return kept;
}

}  // namespace

std::string metrics_line(const StepMetrics& metrics) {
  const StepResult& step = metrics.step;
  std::string line = fmt::format(
      R"({{"step": {}, "tokens": {}, "loss": {}, "gradient_norm": {}, "learning_rate": {}, "step_seconds": {}, )"
      R"("tokens_per_second": {}, "mfu": {}, "memory_peak_bytes": {})",
      step.step, metrics.tokens_seen, json_number(step.loss), json_number(step.gradient_norm),
      json_number(step.learning_rate), json_number(step.seconds),
      json_number(static_cast<double>(step.tokens) / step.seconds), json_number(metrics.mfu),
      metrics.memory_peak_bytes);
  if (metrics.validation_loss) line += fmt::format(R"(, "validation_loss": {})", json_number(*metrics.validation_loss));
  return line + "}";
}

std::string keep_later_lines(FileSystem& files, const std::filesystem::path& path, std::int64_t step) {
  std::ifstream file(path);
  std::string all;
  bool has_later = false;
  for (std::string line; std::getline(file, line); all += line + "\n")
    has_later = has_later || (!line.empty() && step_of_line(line).value_or(0) > step);
  if (!has_later) return {};
  for (int number = 1;; ++number) {
    const std::string copy = (path.parent_path() / fmt::format("metrics-abandoned-{}.jsonl", number)).string();
    if (files.exists(copy)) continue;
    write_file_atomically(files, copy, all, Replace::never);
    return copy;
  }
}

MetricsLog::MetricsLog(FileSystem& files, const std::filesystem::path& path, std::int64_t step) {
  // Atomically: a crash now loses no line.
  write_file_atomically(files, path.string(), lines_up_to(path, step), Replace::existing);
  file_ = files.open(path.string(), OpenMode::update);
  end_ = file_->bytes();
}

bool MetricsLog::append(const StepMetrics& metrics) {
  std::string line = metrics_line(metrics);
  line.resize(std::max(line.size(), cut_length_), ' ');  // over a line that was cut; JSON may have spaces behind it
  const std::size_t length = line.size();
  line += '\n';
  try {
    if (const std::int64_t bytes = file_->bytes(); bytes < end_) end_ = bytes;  // somebody has cut it
    file_->write_at(end_, std::as_bytes(std::span(line)));
    end_ += std::ssize(line);
    cut_length_ = 0;
    return true;
  } catch (const Error&) {  // a full disk costs lines, not the run
    cut_length_ = length;
    return false;
  }
}

}  // namespace ferula
