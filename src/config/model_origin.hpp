// `[model] path`: the shape of a model that exists already, taken from the configuration in its folder.
#pragma once

#include "config/load_config.hpp"

namespace ferula {

/// Fills what `[model] path` decides and nobody gave: the shape of the model and its tokenizer. Reports a path without
/// a readable configuration, and every such key that is given and differs; a shorter context is legal where positions
/// are rotary. Does nothing without a path.
void apply_model_path(LoadedConfig& loaded, MistakeCollector& mistakes);

}  // namespace ferula
