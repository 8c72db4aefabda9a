// The config.json of a model that Hugging Face's transformers has saved: what of it this program's models can be.
#pragma once

#include <string>
#include <vector>

#include "config/run_config.hpp"

namespace ferula {

struct PublishedModel {
  ModelConfig model;                      // every size given, no "auto"
  std::vector<std::string> unknown_keys;  // that transformers' own models of this kind do not read either
};

/// Reads `text`, the content of the file `where`. GPT2LMHeadModel and LlamaForCausalLM are known. DataError that names
/// everything that is missing, of a wrong type, or that our models do not compute: key, value, and what to do.
PublishedModel read_published_model(const std::string& text, const std::string& where);

}  // namespace ferula
