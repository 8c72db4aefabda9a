// How much arithmetic a token costs: the measure behind "mfu".
#pragma once

#include "model/transformer_spec.hpp"

namespace ferula {

/// Parameters that take part in a product for every token: all but the tables that are only looked up, which are the
/// positions and an embedding that is not also the head.
std::int64_t multiplied_parameters(const TransformerSpec& spec);

/// Floating-point operations of the forward and backward pass of one token: 6 N + 12 · layers · heads · head_dim ·
/// sequence (Chowdhery et al. 2022, appendix B), N = multiplied_parameters. The causal mask is not deducted, as is the
/// field's custom.
double training_flops_per_token(const TransformerSpec& spec, std::int64_t sequence_length);

}  // namespace ferula
