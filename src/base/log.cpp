#include "base/log.hpp"

#include <spdlog/logger.h>
#include <spdlog/sinks/basic_file_sink.h>

#include <cstdio>
#include <mutex>
#include <optional>

#include "base/error.hpp"
#include "base/output.hpp"

namespace ferula {
namespace {

/// Unlike fmt::print it does not throw where the reader went away or the disk is full.
void put(std::FILE* stream, std::string_view text) { std::fwrite(text.data(), 1, text.size(), stream); }

}  // namespace

struct Log::Impl {
  Impl(LogVoice who, LogConsole where) : voice(who), console(where) {}

  LogVoice voice;
  LogConsole console;
  std::mutex mutex;
  std::optional<spdlog::logger> file;
  bool progress_line_is_open = false;

  void end_progress_line() {
    if (progress_line_is_open) std::fputc('\n', stdout);
    progress_line_is_open = false;
  }

  void write(std::FILE* stream, std::string_view text) {
    end_progress_line();
    put(stream, text);
    put(stream, "\n");
    std::fflush(stream);
  }
};

Log::Log(LogVoice voice, LogConsole console) : impl_(std::make_unique<Impl>(voice, console)) {}

Log::~Log() {
  if (!impl_->progress_line_is_open) return;
  std::fputc('\n', stdout);
  std::fflush(stdout);
}

void Log::open_file(const std::filesystem::path& path) {
  if (impl_->voice == LogVoice::silent) return;
  const std::lock_guard lock(impl_->mutex);
  try {
    impl_->file.emplace("run", std::make_shared<spdlog::sinks::basic_file_sink_st>(path.string()));
  } catch (const spdlog::spdlog_ex& error) {
    throw DeviceError(fmt::format("expected to write the log '{}', found: {}; choose a run.output_dir that is writable",
                                  path.string(), error.what()));
  }
  impl_->file->set_pattern("%Y-%m-%d %H:%M:%S.%e  %v");
  impl_->file->flush_on(spdlog::level::info);
  impl_->file->set_error_handler([](const std::string&) {});
}

void Log::info(std::string_view text) {
  if (impl_->voice == LogVoice::silent) return;
  const std::lock_guard lock(impl_->mutex);
  impl_->write(stdout, text);
  if (impl_->file) impl_->file->info(text);
}

void Log::result(std::string_view text) {
  if (impl_->voice == LogVoice::silent) return;
  const std::lock_guard lock(impl_->mutex);
  impl_->end_progress_line();
  print_output("{}\n", text);
  if (impl_->file) impl_->file->info(text);
}

void Log::result_part(std::string_view text) {
  if (impl_->voice == LogVoice::silent) return;
  const std::lock_guard lock(impl_->mutex);
  impl_->end_progress_line();
  write_output(text);
}

void Log::warning(std::string_view text) {
  if (impl_->voice == LogVoice::silent) return;
  const std::lock_guard lock(impl_->mutex);
  const std::string line = fmt::format("warning: {}", text);
  impl_->write(stderr, line);
  if (impl_->file) impl_->file->info(line);
}

void Log::record(std::string_view text) {
  const std::lock_guard lock(impl_->mutex);
  if (impl_->file) impl_->file->info(text);
}

void Log::progress(std::string_view text) {
  if (impl_->voice == LogVoice::silent) return;
  const std::lock_guard lock(impl_->mutex);
  if (impl_->console == LogConsole::interactive) {
    put(stdout, "\r\x1b[K");  // back to the start of the line, erased to its end
    put(stdout, text);
    std::fflush(stdout);
    impl_->progress_line_is_open = true;
  } else {
    impl_->write(stdout, text);
  }
  if (impl_->file) impl_->file->info(text);
}

}  // namespace ferula
