// What `train --dry-run` shows of a plan: units, placements and the step of a rank.
#pragma once

#include <string>

#include "comm/mesh.hpp"
#include "config/run_config.hpp"
#include "model/transformer_spec.hpp"

namespace ferula {

/// Three tables: the units of the model (neighbours that are alike on one line), the ranks over which each kind of
/// state is cut and copied, and what this rank does in a step. Makes no memory.
std::string plan_text(const Config& config, const TransformerSpec& spec, Mesh& mesh);

}  // namespace ferula
