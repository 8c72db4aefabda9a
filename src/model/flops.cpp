#include "model/flops.hpp"

#include "model/parameter_table.hpp"

namespace ferula {

std::int64_t multiplied_parameters(const TransformerSpec& spec) {
  std::int64_t count = parameter_count(parameter_table(spec, DType::f32));
  if (spec.family.positions == PositionKind::learned) count -= spec.context * spec.width;
  if (!spec.tied) count -= spec.vocabulary * spec.width;
  return count;
}

double training_flops_per_token(const TransformerSpec& spec, std::int64_t sequence_length) {
  const auto attention = static_cast<double>(12 * spec.layers * spec.query_width() * sequence_length);
  return 6.0 * static_cast<double>(multiplied_parameters(spec)) + attention;
}

}  // namespace ferula
