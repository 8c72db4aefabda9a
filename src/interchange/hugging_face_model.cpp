// One function an architecture. A key that changes what is computed is read or required to be off; keys of training,
// of special tokens and of saving do not matter here; all others are told.
#include "interchange/hugging_face_model.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <boost/json.hpp>

#include <array>
#include <cmath>
#include <optional>
#include <set>
#include <string_view>

#include "base/error.hpp"

namespace ferula {
namespace {

namespace json = boost::json;

constexpr std::int64_t kMostSize = 1 << 24, kMostLayers = 10'000;  // as in a configuration

/// Of both architectures, without a meaning for the values of the model.
const std::set<std::string_view> kIndifferent = {"_name_or_path",
                                                 "architectures",
                                                 "attention_dropout",
                                                 "attn_pdrop",
                                                 "bos_token_id",
                                                 "chunk_size_feed_forward",
                                                 "dtype",
                                                 "embd_pdrop",
                                                 "eos_token_id",
                                                 "id2label",
                                                 "initializer_range",
                                                 "is_decoder",
                                                 "is_encoder_decoder",
                                                 "label2id",
                                                 "max_length",
                                                 "model_type",
                                                 "n_ctx",
                                                 "output_attentions",
                                                 "output_hidden_states",
                                                 "pad_token_id",
                                                 "predict_special_tokens",
                                                 "pretraining_tp",
                                                 "problem_type",
                                                 "reorder_and_upcast_attn",
                                                 "resid_pdrop",
                                                 "return_dict",
                                                 "summary_activation",
                                                 "summary_first_dropout",
                                                 "summary_proj_to_labels",
                                                 "summary_type",
                                                 "summary_use_proj",
                                                 "task_specific_params",
                                                 "torch_dtype",
                                                 "transformers_version",
                                                 "unk_token_id",
                                                 "use_cache"};

class ModelReader {
 public:
  explicit ModelReader(const json::object& object) : object_(&object) {}

  const json::value* find(std::string_view key) {
    asked_.emplace(key);
    const json::value* found = object_->if_contains({key.data(), key.size()});
    return found == nullptr || found->is_null() ? nullptr : found;
  }

  /// A size from 1 on; `fallback` where it is absent, which is a mistake without one.
  std::int64_t size(std::string_view key, std::optional<std::int64_t> fallback = {}, std::int64_t most = kMostSize) {
    const json::value* found = find(key);
    if (found == nullptr && fallback) return *fallback;
    const bool is_size = found != nullptr && found->is_int64() && found->get_int64() >= 1 && found->get_int64() <= most;
    if (is_size) return found->get_int64();
    problem(key, fmt::format("a whole number from 1 to {}", most), "download the model's own config.json");
    return 1;
  }

  double positive(std::string_view key, double fallback) {
    const json::value* found = find(key);
    if (found == nullptr) return fallback;
    if (found->is_number() && found->to_number<double>() > 0.0) return found->to_number<double>();
    problem(key, "a number above 0", "download the model's own config.json");
    return fallback;
  }

  bool flag(std::string_view key, bool fallback) {
    const json::value* found = find(key);
    if (found == nullptr) return fallback;
    if (found->is_bool()) return found->get_bool();
    problem(key, "true or false", "download the model's own config.json");
    return fallback;
  }

  /// A feature that our models do not have.
  void require_off(std::string_view key, std::string_view feature) {
    if (flag(key, false)) problem(key, "false", fmt::format("{} cannot be computed here; take another model", feature));
  }

  void require_on(std::string_view key, std::string_view feature) {
    if (!flag(key, true)) problem(key, "true", fmt::format("{} cannot be computed here; take another model", feature));
  }

  void require_absent(std::string_view key, std::string_view remedy) {
    if (find(key) != nullptr) problem(key, "nothing", remedy);
  }

  void require_word(std::string_view key, const std::set<std::string_view>& words, std::string_view remedy) {
    const json::value* found = find(key);
    if (found == nullptr) return;  // the first word is the default
    if (found->is_string() && words.contains(std::string_view(found->get_string()))) return;
    problem(key, fmt::format("\"{}\"", fmt::join(words, "\" or \"")), remedy);
  }

  void problem(std::string_view key, std::string_view expected, std::string_view remedy) {
    const json::value* found = object_->if_contains({key.data(), key.size()});
    constexpr std::size_t kShown = 80;
    problems_.push_back(fmt::format("{}: expected {}, found {}; {}", key, expected,
                                    found == nullptr ? "nothing" : json::serialize(*found).substr(0, kShown), remedy));
  }

  void throw_if_any(const std::string& where) const {
    if (!problems_.empty())
      throw DataError(fmt::format("{}: this model cannot be imported:\n  {}", where, fmt::join(problems_, "\n  ")));
  }

  std::vector<std::string> unknown_keys() const {
    std::vector<std::string> unknown;
    for (const auto& entry : *object_) {
      const std::string_view key(entry.key());
      if (!asked_.contains(key) && !kIndifferent.contains(key)) unknown.emplace_back(key);
    }
    return unknown;
  }

 private:
  const json::object* object_;
  std::set<std::string, std::less<>> asked_;
  std::vector<std::string> problems_;
};

ModelConfig gpt2(ModelReader& reader) {
  ModelConfig model;
  model.family = "gpt2";
  model.layers = reader.size("n_layer", {}, kMostLayers);
  model.width = reader.size("n_embd");
  model.heads = reader.size("n_head");
  model.kv_heads = model.heads;
  model.context = reader.size("n_positions");
  model.vocabulary = reader.size("vocab_size");
  model.ffn_width = reader.size("n_inner", 4 * model.width);
  model.norm_eps = reader.positive("layer_norm_epsilon", 1e-5);
  model.tied_embeddings = reader.flag("tie_word_embeddings", true);
  model.head_dim = model.width / model.heads;
  if (model.width % model.heads != 0)
    reader.problem("n_head", fmt::format("a divisor of n_embd = {}", model.width), "take another model");
  reader.require_word("activation_function", {"gelu_new", "gelu_pytorch_tanh"},
                      "GELU is computed by its tanh formula alone; take a model that was trained with it");
  reader.require_on("scale_attn_weights", "attention without scaling");
  reader.require_off("scale_attn_by_inverse_layer_idx", "attention scaled by the layer");
  reader.require_off("add_cross_attention", "attention to an encoder");
  return model;
}

/// Newer versions of transformers keep the base in `rope_parameters`.
double rope_theta(ModelReader& reader) {
  const double top = reader.positive("rope_theta", 10000.0);
  constexpr std::string_view kRemedy =
      "rotary positions are computed without scaling; take a model without it (Llama 2 and 3, not 3.1 and later)";
  double theta = top;
  for (const std::string_view key : {"rope_parameters", "rope_scaling"}) {
    const json::value* found = reader.find(key);
    if (found == nullptr) continue;
    const json::object* parameters = found->if_object();
    bool is_plain = parameters != nullptr;
    if (is_plain) {
      for (const auto& [name, value] : *parameters) {
        if ((name == "rope_type" || name == "type") && value == "default") continue;
        if (name == "rope_theta" && value.is_number() && value.to_number<double>() > 0.0) {
          theta = value.to_number<double>();
        } else if (!(name == "partial_rotary_factor" && value.is_number() && value.to_number<double>() == 1.0)) {
          is_plain = false;
        }
      }
    }
    if (!is_plain) reader.problem(key, "none, or {\"rope_type\": \"default\"}", kRemedy);
  }
  return theta;
}

ModelConfig llama(ModelReader& reader) {
  ModelConfig model;
  model.family = "llama";
  model.layers = reader.size("num_hidden_layers", {}, kMostLayers);
  model.width = reader.size("hidden_size");
  model.heads = reader.size("num_attention_heads");
  model.kv_heads = reader.size("num_key_value_heads", model.heads);
  model.head_dim = reader.size("head_dim", std::max<std::int64_t>(1, model.width / model.heads));
  model.ffn_width = reader.size("intermediate_size");
  model.context = reader.size("max_position_embeddings");
  model.vocabulary = reader.size("vocab_size");
  model.norm_eps = reader.positive("rms_norm_eps", 1e-6);
  model.rope_theta = rope_theta(reader);
  model.tied_embeddings = reader.flag("tie_word_embeddings", false);
  reader.require_word("hidden_act", {"silu", "swish"}, "the feed-forward blocks are SwiGLU; take a model of this kind");
  reader.require_off("attention_bias", "attention with biases");
  reader.require_off("mlp_bias", "a feed-forward block with biases");
  if (reader.find("partial_rotary_factor") != nullptr && reader.positive("partial_rotary_factor", 1.0) != 1.0)
    reader.problem("partial_rotary_factor", "1", "all of a head is rotated here; take another model");
  return model;
}

/// "GPT2LMHeadModel"; empty where there is none.
std::string architecture_of(const json::object& object) {
  const json::value* list = object.if_contains("architectures");
  if (list == nullptr || !list->is_array() || list->get_array().size() != 1) return {};
  const json::value& only = list->get_array().front();
  return only.is_string() ? std::string(only.get_string()) : std::string();
}

}  // namespace

PublishedModel read_published_model(const std::string& text, const std::string& where) {
  boost::system::error_code error;
  const json::value parsed = json::parse(text, error);
  if (error || !parsed.is_object())
    throw DataError(fmt::format("{}: expected the JSON object of a model, found {}; download it again", where,
                                error ? error.message() : "something else"));
  const json::object& object = parsed.get_object();
  ModelReader reader(object);
  const std::string architecture = architecture_of(object);
  if (architecture != "GPT2LMHeadModel" && architecture != "LlamaForCausalLM") {
    reader.problem("architectures", "[\"GPT2LMHeadModel\"] or [\"LlamaForCausalLM\"]",
                   "these two are known; take a model of one of them");
    reader.throw_if_any(where);
  }
  reader.require_absent("quantization_config", "quantised weights cannot be read; take the model as it was trained");
  reader.require_absent("auto_map", "a model with code of its own cannot be imported; take another");
  ModelConfig model = architecture == "GPT2LMHeadModel" ? gpt2(reader) : llama(reader);
  reader.throw_if_any(where);
  return {.model = std::move(model), .unknown_keys = reader.unknown_keys()};
}

}  // namespace ferula
