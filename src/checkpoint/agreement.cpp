// Agreement on outcomes: a maximum finds the worst rank, which then tells its reason.
#include "checkpoint/agreement.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "storage/file_system.hpp"

namespace ferula {

Outcome outcome_of(const std::function<void()>& work) {
  try {
    work();
    return {};
  } catch (const DamageError& error) {
    return {Severity::damage, error.what()};
  } catch (const std::exception& error) {
    return {Severity::failure, error.what()};
  }
}

Outcome agree(Communicator& group, Stream& stream, const Outcome& mine) {
  const int ranks = group.size();
  const auto worst = static_cast<int>(
      agree_max(group, stream, static_cast<double>(static_cast<int>(mine.severity) * ranks + group.rank())));
  const Outcome common{static_cast<Severity>(worst / ranks), {}};
  if (common.good()) return common;
  const int speaker = worst % ranks;
  std::array<std::byte, 1000> text{};
  if (group.rank() == speaker)
    std::memcpy(text.data(), mine.problem.data(), std::min(mine.problem.size(), text.size() - 1));
  group.broadcast(stream, {text.data(), DType::u8, {static_cast<std::int64_t>(text.size())}}, speaker);
  stream.synchronize();
  const auto* letters = reinterpret_cast<const char*>(text.data());
  const std::string problem(letters, ::strnlen(letters, text.size()));
  return {common.severity, ranks == 1 ? problem : fmt::format("rank {} of {}: {}", speaker, ranks, problem)};
}

}  // namespace ferula
