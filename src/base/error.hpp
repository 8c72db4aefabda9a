// The exceptions of the program: each kind carries the exit code that `main` returns for it.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace ferula {

/// Exit codes of the program, documented in docs/usage.md and tested in tests/system.
enum class ExitCode : int {
  done = 0,
  failed = 1,
  usage = 2,
  does_not_fit = 3,
  resume_me = 75,
  interrupted = 130,
};

/// Anything that ends the program with a message: what was expected, what was found, what to do next.
class Error : public std::runtime_error {
 public:
  explicit Error(std::string message, ExitCode code = ExitCode::failed) : std::runtime_error(message), code_(code) {}
  ExitCode code() const { return code_; }
  /// Every rank throws this error, because all have agreed on it: it is told once.
  void share() { is_shared_ = true; }
  bool is_shared() const { return is_shared_; }

 private:
  ExitCode code_;
  bool is_shared_ = false;
};

/// A mistake in a configuration file or on the command line.
class ConfigError : public Error {
 public:
  explicit ConfigError(std::string message) : Error(std::move(message), ExitCode::usage) {}
};

/// Input that cannot be used: a text, a token file, a checkpoint.
class DataError : public Error {
 public:
  explicit DataError(std::string message) : Error(std::move(message)) {}
};

/// A device or the operating system refused a service.
class DeviceError : public Error {
 public:
  explicit DeviceError(std::string message) : Error(std::move(message)) {}
};

/// Memory or disk is too small for what was asked.
class CapacityError : public Error {
 public:
  explicit CapacityError(std::string message) : Error(std::move(message), ExitCode::does_not_fit) {}
};

/// A collective failed, timed out, was aborted or was called differently by two ranks.
class CommError : public Error {
 public:
  explicit CommError(std::string message) : Error(std::move(message)) {}
};

namespace detail {
[[noreturn]] void check_failed(const char* file, int line, const char* condition, const std::string& message);
}  // namespace detail

}  // namespace ferula

/// A promise of our own code; stays in release builds. The message (fmt syntax) prints the values.
#define FERULA_CHECK(condition, ...)                                                                 \
  do {                                                                                               \
    if (!(condition)) [[unlikely]]                                                                   \
      ::ferula::detail::check_failed(__FILE__, __LINE__, #condition, ::fmt::format("" __VA_ARGS__)); \
  } while (false)
