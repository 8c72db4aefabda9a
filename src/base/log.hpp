// What one rank tells its user: lines on the terminal and, once a run has a directory, in its log file with times.
#pragma once

#include <filesystem>
#include <memory>
#include <string_view>

namespace ferula {

/// Whether a log speaks at all: rank 0 does, the others keep quiet.
enum class LogVoice : unsigned char { speaks, silent };
/// `interactive`: a terminal on which a progress line can be rewritten in place. `plain`: everything else.
enum class LogConsole : unsigned char { plain, interactive };

/// Belongs to one rank; there is no global one. Thread-safe. A full disk never stops a run: the file then misses lines.
class Log {
 public:
  Log(LogVoice voice, LogConsole console);
  ~Log();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  /// From now on every line also goes to the end of that file, with date and time.
  /// Throws DeviceError with path and reason when the file cannot be opened. Does nothing in a silent log.
  void open_file(const std::filesystem::path& path);

  /// A line (or several) on standard output.
  void info(std::string_view text);
  /// The same for what the command is for: throws as write_output does where it cannot be written.
  void result(std::string_view text);
  /// The beginning of a result whose end result() writes: without a new line, and not in the file.
  void result_part(std::string_view text);
  /// "warning: …" on standard error.
  void warning(std::string_view text);
  /// A line of the file alone: what the terminal gets from somebody else, as the error that ends the run.
  void record(std::string_view text);
  /// The line that says how far the run is: replaces the one before it on an interactive terminal.
  void progress(std::string_view text);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ferula
