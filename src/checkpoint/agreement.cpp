// Agreement on outcomes: a maximum finds the worst rank, which then tells its reason and its exit code.
#include "checkpoint/agreement.hpp"

#include <algorithm>
#include <vector>

#include "base/failure.hpp"
#include "storage/block_hashes.hpp"
#include "storage/file_system.hpp"

namespace ferula {
namespace {

/// The text of `speaker`, at most kMostTextBytes of it: its length first, then its letters.
std::string text_of_rank(Communicator& group, Stream& stream, int speaker, const std::string& mine) {
  const bool speaks = group.rank() == speaker;
  const std::size_t spoken = speaks ? std::min(mine.size(), kMostTextBytes) : 0;
  const auto bytes = static_cast<std::size_t>(agree_max(group, stream, static_cast<double>(spoken)));
  std::vector<std::byte> letters(bytes);
  if (speaks) std::copy_n(bytes_of_text(mine).begin(), bytes, letters.begin());
  if (bytes > 0) {
    group.broadcast(stream, {letters.data(), DType::u8, {static_cast<std::int64_t>(bytes)}}, speaker);
    stream.synchronize();
  }
  return {reinterpret_cast<const char*>(letters.data()), bytes};
}

/// Whether all ranks of the group have the same text.
bool is_everybodys(Communicator& group, Stream& stream, const std::string& mine) {
  const Digest digest = digest_of(mine);
  double number = 0.0;  // exact: six bytes
  for (std::size_t index = 0; index < 6; ++index) number = 256.0 * number + digest.bytes[index];
  const double largest = agree_max(group, stream, number);
  return largest == -agree_max(group, stream, -number);
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
  const auto worst = [&] {
    const UntimedWaits until_all_are_done(group);
    return static_cast<int>(
        agree_max(group, stream, static_cast<double>(static_cast<int>(mine.severity) * ranks + group.rank())));
  }();
  const auto severity = static_cast<Severity>(worst / ranks);
  if (severity == Severity::none) return {};
  const int speaker = worst % ranks;
  const std::string problem = text_of_rank(group, stream, speaker, mine.problem);
  const auto code = static_cast<ExitCode>(static_cast<int>(
      agree_max(group, stream, group.rank() == speaker ? static_cast<double>(static_cast<int>(mine.code)) : 0.0)));
  if (is_everybodys(group, stream, mine.problem)) return {severity, problem, code};
  return {severity, fmt::format("rank {} of {}: {}", speaker, ranks, problem), code};
}

void require(const Outcome& outcome) {
  if (outcome.good()) return;
  if (outcome.code == ExitCode::does_not_fit) throw_shared<CapacityError>(outcome);
  if (outcome.code == ExitCode::usage) throw_shared<ConfigError>(outcome);
  throw_shared<DataError>(outcome);
}

}  // namespace ferula
