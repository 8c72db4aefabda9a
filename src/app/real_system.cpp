#include "app/real_system.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <fstream>

#include "app/launch/child_process.hpp"
#include "base/error.hpp"
#include "base/handle.hpp"
#include "comm/launch_environment.hpp"
#include "doctor/facts_text.hpp"

namespace ferula {
namespace {

constexpr std::size_t kMostBytes = 1 << 20;  // of a file or of what a program prints

struct PipeTraits {
  using type = int;
  static type invalid() { return -1; }
  static void close(type descriptor) noexcept { ::close(descriptor); }
};
using PipeEnd = Handle<PipeTraits>;

bool is_in_path(const std::string& program) {
  if (program.find('/') != std::string::npos) return access(program.c_str(), X_OK) == 0;
  for (const std::string& folder : pieces(environment_variable("PATH").value_or("/usr/bin:/bin"), ':'))
    if (access((folder + "/" + program).c_str(), X_OK) == 0) return true;
  return false;
}

std::string read_all(int descriptor) {
  std::string text;
  std::array<char, 4096> block{};
  for (;;) {
    const ssize_t count = read(descriptor, block.data(), block.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return text;
    if (text.size() < kMostBytes) text.append(block.data(), static_cast<std::size_t>(count));
  }
}

/// Both outputs of a program, which `timeout` ends where it takes too long.
CommandResult output_of(const std::vector<std::string>& words, int patience_s) {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return {.code = 127, .text = "no pipe"};
  const PipeEnd reading(ends[0]);
  PipeEnd writing(ends[1]);
  std::vector<std::string> line{"sh", "-c", "exec timeout -k 1 \"$@\" 2>&1", "sh", std::to_string(patience_s)};
  line.insert(line.end(), words.begin(), words.end());
  const BlockedSignals signals({});
  const pid_t child = start_child(line, signals, "", writing.get());
  writing.reset();
  CommandResult result{.code = 0, .text = read_all(reading.get())};
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  result.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

}  // namespace

std::string RealSystem::under_root(const std::string& path) const {
  return (root_ / std::filesystem::path(path).relative_path()).string();
}

std::optional<std::string> RealSystem::file(const std::string& path) const {
  std::ifstream stream(under_root(path), std::ios::binary);
  if (!stream) return std::nullopt;
  std::string text(kMostBytes, '\0');  // files of /proc do not tell their size
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (stream.bad() || (stream.gcount() == 0 && !stream.eof())) return std::nullopt;
  text.resize(static_cast<std::size_t>(stream.gcount()));
  return text;
}

std::vector<std::string> RealSystem::names(const std::string& directory) const {
  try {
    return files_->list(under_root(directory));
  } catch (const Error&) {
    return {};
  }
}

std::optional<std::string> RealSystem::variable(const std::string& name) const { return environment_variable(name); }

std::optional<CommandResult> RealSystem::run(const std::vector<std::string>& words) const {
  const auto known = answers_.find(words);
  if (known != answers_.end()) return known->second;
  std::optional<CommandResult> answer;
  try {
    if (is_in_path(words.front())) answer = output_of(words, patience_s_);
  } catch (const Error& error) {
    answer = CommandResult{.code = 127, .text = error.what()};
  }
  return answers_.emplace(words, std::move(answer)).first->second;
}

double RealSystem::now_s() const {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::optional<FreeSpace> RealSystem::free_space(const std::string& directory) const {
  try {
    return files_->free_space(directory);
  } catch (const Error&) {
    return std::nullopt;
  }
}

/// Hosts may share the directory, so the name tells them apart.
std::string RealSystem::probe_file(const std::string& directory) const {
  return join_path(directory, fmt::format(".ferula-doctor-{}-{}", job_.host, getpid()));
}

std::string RealSystem::write_problem(const std::string& directory) const {
  const std::string path = probe_file(directory);
  try {
    write_file_atomically(*files_, path, "a file of `ferula doctor`, which may be deleted\n", Replace::existing);
    files_->remove(path);
    return {};
  } catch (const Error& error) {
    return error.what();
  }
}

LockAttempt::State RealSystem::lock_state(const std::string& directory) const {
  try {
    return files_->try_lock(probe_file(directory) + ".lock", "ferula doctor").state;
  } catch (const Error&) {
    return LockAttempt::State::unsupported;
  }
}

}  // namespace ferula
