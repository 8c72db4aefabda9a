#include "ops/cpu/instruction_sets.hpp"

#include <fmt/format.h>
#include <hwy/targets.h>

#include <mutex>
#include <oneapi/dnnl/dnnl.hpp>
#include <vector>

namespace ferula::cpu {
namespace {

constexpr std::int64_t kAvx512Targets = HWY_AVX3 | HWY_AVX3_DL;

bool has(dnnl::cpu_isa wanted) {
  const auto bits = static_cast<int>(wanted);
  return (static_cast<int>(dnnl::get_effective_cpu_isa()) & bits) == bits;
}

}  // namespace

void follow_masked_instruction_sets() {
  static std::once_flag once;
  std::call_once(once, [] {
    std::int64_t masked = 0;
    if (!has(dnnl::cpu_isa::avx512_core)) masked |= kAvx512Targets;
    if (!has(dnnl::cpu_isa::avx2)) masked |= HWY_AVX2;
    if ((hwy::SupportedTargets() & masked) != 0) hwy::DisableTargets(masked);
  });
}

std::string missing_instructions() {
  std::vector<std::string_view> missing;
  if (!has(dnnl::cpu_isa::avx2)) missing.emplace_back("AVX2");
  if (!has(dnnl::cpu_isa::avx512_core)) missing.emplace_back("AVX-512");
  const bool lacks_bf16 = !has(dnnl::cpu_isa::avx512_core_bf16);
  if (lacks_bf16) missing.emplace_back("bf16 instructions");
  if (missing.empty()) return {};
  std::string text;
  for (std::size_t each = 0; each < missing.size(); ++each)
    text += fmt::format("{}no {}", each == 0 ? "" : each + 1 == missing.size() ? " and " : ", ", missing[each]);
  return fmt::format("this processor has {}", text) + (lacks_bf16 ? ": bf16 is computed as f32" : "");
}

}  // namespace ferula::cpu
