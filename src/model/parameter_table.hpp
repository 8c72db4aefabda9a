// The parameter table of a transformer, and its edits: which tensors decay and which are frozen.
#pragma once

#include <span>
#include <string>

#include "model/transformer_spec.hpp"
#include "params/param_spec.hpp"

namespace ferula {

/// Units in the order of the forward pass: embedding, blocks.0 … blocks.L−1, head. Where the embedding is tied, the
/// first unit also holds the last norm and serves as the head, and there is no unit behind the blocks.
/// Names are those of checkpoints. Matrices and embeddings start normal with init_std, the two projections onto the
/// residual stream with init_std / √(2 layers) (Radford et al. 2019); norms start at one, biases at zero.
/// `decay` is set for matrices only.
ModelSpec parameter_table(const TransformerSpec& spec, DType storage);

/// Index of the unit that holds the head.
std::size_t head_unit(const TransformerSpec& spec);
/// Index of the unit of block `layer`.
std::size_t block_unit(std::int64_t layer);

/// No weight decay for tensors whose name matches one of the globs (`*` also spans dots). A glob may match nothing:
/// the default ones name biases, which some families do not have.
void apply_no_decay(ModelSpec& model, std::span<const std::string> globs);
/// Matching tensors are not trained. Joined tensors of which only some are frozen are separated.
/// Throws ConfigError for a glob that matches nothing.
void freeze(ModelSpec& model, std::span<const std::string> globs);

}  // namespace ferula
