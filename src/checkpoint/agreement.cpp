// Agreement on outcomes: a maximum finds the worst rank, which then tells its reason and its exit code.
#include "checkpoint/agreement.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/failure.hpp"
#include "storage/file_system.hpp"

namespace ferula {
namespace {

constexpr std::size_t kTextBytes = 1000;

/// One byte with the exit code, then the text; the rest is zero.
using Message = std::array<std::byte, 1 + kTextBytes>;

Message message_of(const Outcome& outcome) {
  Message message{};
  message.front() = static_cast<std::byte>(outcome.code);
  std::memcpy(&message[1], outcome.problem.data(), std::min(outcome.problem.size(), kTextBytes));
  return message;
}

template <class Kind>
[[noreturn]] void throw_shared(const Outcome& outcome) {
  Kind error(outcome.problem);
  error.share();
  throw error;
}

}  // namespace

Outcome outcome_of(const std::function<void()>& work) {
  try {
    work();
    return {};
  } catch (const DamageError& error) {
    return {Severity::damage, error.what(), error.code()};
  } catch (...) {
    const Failure failure = failure_of(std::current_exception());
    return {Severity::failure, failure.message, failure.code};
  }
}

Outcome agree(Communicator& group, Stream& stream, const Outcome& mine) {
  const int ranks = group.size();
  const auto worst = static_cast<int>(
      agree_max(group, stream, static_cast<double>(static_cast<int>(mine.severity) * ranks + group.rank())));
  const auto severity = static_cast<Severity>(worst / ranks);
  if (severity == Severity::none) return {};
  const int speaker = worst % ranks;
  Message message = message_of(mine);
  group.broadcast(stream, {message.data(), DType::u8, {static_cast<std::int64_t>(message.size())}}, speaker);
  stream.synchronize();
  const auto* letters = reinterpret_cast<const char*>(&message[1]);
  const std::string problem(letters, ::strnlen(letters, kTextBytes));
  return {severity, ranks == 1 ? problem : fmt::format("rank {} of {}: {}", speaker, ranks, problem),
          static_cast<ExitCode>(message.front())};
}

void require(const Outcome& outcome) {
  if (outcome.good()) return;
  if (outcome.code == ExitCode::does_not_fit) throw_shared<CapacityError>(outcome);
  if (outcome.code == ExitCode::usage) throw_shared<ConfigError>(outcome);
  throw_shared<DataError>(outcome);
}

}  // namespace ferula
