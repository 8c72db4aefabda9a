// Whether a checkpoint can be read with a configuration.
#pragma once

#include <string>

#include "app/model_setup.hpp"
#include "app/rank_context.hpp"

namespace ferula {

/// Compares `config` with the configuration that wrote `checkpoint`. Throws ConfigError, which names each setting that
/// differs and makes it impossible to go on: another model, tokenizer or precision; for training another optimizer.
/// Returns those that change what training computes, a line each with both values; empty without any.
std::string match_configuration(RankContext& context, const std::string& checkpoint, const Config& config,
                                StoreUse use);

}  // namespace ferula
