#include "checkpoint/hugging_face_names.hpp"

#include <algorithm>
#include <array>
#include <set>

namespace ferula {
namespace {

struct NamePair {
  std::string_view ours;
  std::string_view theirs;
  std::int64_t part = 0;  // of the outputs of their tensor
  std::int64_t parts = 1;
};

/// What differs between the families' names. Ours end in ".weight" or ".bias", theirs too.
struct NameTable {
  std::string_view prefix;  // of all but the head; may be missing
  std::string_view block;
  std::vector<NamePair> outside;
  std::vector<NamePair> inside;             // of a block
  std::vector<std::string_view> constants;  // endings of tensors without parameters
  ElementOrder linear = ElementOrder::same;
};

const NameTable& names_of(std::string_view family) {
  static const NameTable gpt2{.prefix = "transformer.",
                              .block = "h.",
                              .outside = {{"embedding.token", "wte"},
                                          {"embedding.position", "wpe"},
                                          {"final_norm", "ln_f"},
                                          {"head", "lm_head"}},
                              .inside = {{"attention_norm", "ln_1"},
                                         {"attention.query", "attn.c_attn", 0, 3},
                                         {"attention.key", "attn.c_attn", 1, 3},
                                         {"attention.value", "attn.c_attn", 2, 3},
                                         {"attention.output", "attn.c_proj"},
                                         {"feed_forward_norm", "ln_2"},
                                         {"feed_forward.up", "mlp.c_fc"},
                                         {"feed_forward.down", "mlp.c_proj"}},
                              .constants = {".attn.bias", ".attn.masked_bias"},
                              .linear = ElementOrder::transposed};
  static const NameTable llama{
      .prefix = "model.",
      .block = "layers.",
      .outside = {{"embedding.token", "embed_tokens"}, {"final_norm", "norm"}, {"head", "lm_head"}},
      .inside = {{"attention_norm", "input_layernorm"},
                 {"attention.query", "self_attn.q_proj"},
                 {"attention.key", "self_attn.k_proj"},
                 {"attention.value", "self_attn.v_proj"},
                 {"attention.output", "self_attn.o_proj"},
                 {"feed_forward_norm", "post_attention_layernorm"},
                 {"feed_forward.gate", "mlp.gate_proj"},
                 {"feed_forward.up", "mlp.up_proj"},
                 {"feed_forward.down", "mlp.down_proj"}},
      .constants = {".rotary_emb.inv_freq"},
      .linear = ElementOrder::same};
  FERULA_CHECK(family == "gpt2" || family == "llama", "no names for {}", family);
  return family == "gpt2" ? gpt2 : llama;
}

const NamePair& pair_of(const std::vector<NamePair>& pairs, std::string_view ours) {
  const auto found = std::find_if(pairs.begin(), pairs.end(), [&](const NamePair& pair) { return pair.ours == ours; });
  FERULA_CHECK(found != pairs.end(), "no name for {}", ours);
  return *found;
}

/// The same without the prefix; some files of GPT-2 have none.
std::string_view without_prefix(std::string_view name, const NameTable& names) {
  return name.starts_with(names.prefix) ? name.substr(names.prefix.size()) : name;
}

using StoredTensors = std::map<std::string, SafetensorsFolder::Tensor, std::less<>>;

StoredTensors::const_iterator find(const SafetensorsFolder& folder, const NameTable& names, const std::string& name) {
  const auto found = folder.tensors().find(std::string(names.prefix) + name);
  return found != folder.tensors().end() ? found : folder.tensors().find(name);
}

bool is_constant(std::string_view name, const ModelConfig& model, const NameTable& names) {
  if (model.tied_embeddings.get() && name == "lm_head.weight") return true;
  return std::any_of(names.constants.begin(), names.constants.end(),
                     [&](std::string_view ending) { return name.ends_with(ending); });
}

bool is_readable(const std::string& dtype) { return dtype == "F32" || dtype == "BF16" || dtype == "F16"; }

[[noreturn]] void refuse(const std::vector<std::string>& problems) {
  constexpr std::size_t kShown = 40;
  const std::size_t shown = std::min(kShown, problems.size());
  std::string text = "the tensors of this model are not those that its config.json promises:";
  for (std::size_t index = 0; index < shown; ++index) text += "\n  " + problems[index];
  if (shown < problems.size()) text += fmt::format("\n  and {} more", problems.size() - shown);
  throw DataError(text + "\ndownload config.json and weights of one model, without adapters and quantisation");
}

}  // namespace

TensorSource source_of(const ModelConfig& model, const ParamSpec& param) {
  const NameTable& names = names_of(model.family);
  const std::size_t last_dot = param.name.rfind('.');
  const std::string_view kind = std::string_view(param.name).substr(last_dot);
  std::string_view ours = std::string_view(param.name).substr(0, last_dot);
  constexpr std::string_view kBlocks = "blocks.";
  if (!ours.starts_with(kBlocks)) {
    const NamePair& pair = pair_of(names.outside, ours);
    return {.name = fmt::format("{}{}", pair.theirs, kind), .shape = param.shape};
  }
  ours.remove_prefix(kBlocks.size());
  const std::string_view layer = ours.substr(0, ours.find('.'));
  const NamePair& pair = pair_of(names.inside, ours.substr(layer.size() + 1));
  TensorSource source{.name = fmt::format("{}{}.{}{}", names.block, layer, pair.theirs, kind), .shape = param.shape};
  source.first_output = pair.part * param.shape.front();
  source.shape.front() *= pair.parts;
  if (source.shape.size() == 2 && names.linear == ElementOrder::transposed) {
    source.order = ElementOrder::transposed;
    std::swap(source.shape[0], source.shape[1]);
  }
  return source;
}

std::vector<TensorFilling> fill_table(const ModelConfig& model, const std::vector<ParamSpec>& table,
                                      const SafetensorsFolder& folder) {
  const NameTable& names = names_of(model.family);
  std::vector<TensorFilling> fillings;
  std::vector<std::string> problems;
  std::set<std::string_view> used;
  for (const ParamSpec& param : table) {
    TensorSource source = source_of(model, param);
    const auto found = find(folder, names, source.name);
    if (found == folder.tensors().end()) {
      problems.push_back(fmt::format("{}: expected it, found nothing of this name", source.name));
      continue;
    }
    const auto& [name, stored] = *found;
    const bool is_first = used.insert(name).second;
    if (is_first && stored.shape != source.shape)
      problems.push_back(fmt::format("{}: expected [{}], found [{}]", folder.where(name), fmt::join(source.shape, ", "),
                                     fmt::join(stored.shape, ", ")));
    if (is_first && !is_readable(stored.dtype))
      problems.push_back(fmt::format("{}: expected F32, BF16 or F16, found {}", folder.where(name), stored.dtype));
    fillings.push_back({param, std::move(source), stored});
  }
  for (const auto& [name, stored] : folder.tensors())
    if (!used.contains(name) && !is_constant(without_prefix(name, names), model, names))
      problems.push_back(
          fmt::format("{}: found, but a model of the family {} has no such tensor", folder.where(name), model.family));
  if (!problems.empty()) refuse(problems);
  return fillings;
}

}  // namespace ferula
