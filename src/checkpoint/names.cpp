// The names of what lies in a run's folder of checkpoints.
#include "checkpoint/names.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <random>

namespace ferula {
namespace {

constexpr std::string_view kStepPrefix = "step-";
constexpr std::size_t kStepDigits = 8;

}  // namespace

std::string step_name(std::int64_t step) { return fmt::format("{}{:0{}}", kStepPrefix, step, kStepDigits); }

std::optional<std::int64_t> step_of_name(std::string_view name) {
  if (!name.starts_with(kStepPrefix)) return std::nullopt;
  const std::string_view digits = name.substr(kStepPrefix.size());
  std::int64_t step = 0;
  const auto [end, code] = std::from_chars(digits.data(), digits.data() + digits.size(), step);
  if (code != std::errc{} || end != digits.data() + digits.size() || step < 0 || step_name(step) != name)
    return std::nullopt;
  return step;
}

std::string saving_name(std::int64_t step, std::uint32_t id) {
  return fmt::format("{}{}-{:08x}", kSavingPrefix, step, id);
}

std::uint32_t random_id() { return std::random_device()(); }

std::string dataset_name(std::string_view role, std::string_view tensor) {
  std::string name = fmt::format("/{}/{}", role, tensor);
  std::replace(name.begin(), name.end(), '.', '/');
  return name;
}

}  // namespace ferula
