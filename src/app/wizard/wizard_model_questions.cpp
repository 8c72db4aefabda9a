// Questions on the network and the text that it learns from.
#include <cstdlib>

#include "app/wizard/wizard_tables.hpp"
#include "config/setting_value.hpp"

namespace ferula {
namespace {

constexpr std::string_view kSection = "Model and text";
constexpr std::string_view kCustom = "custom";

std::vector<Choice> models(const WizardView& view) {
  std::vector<Choice> choices;
  if (view.facts().earlier) choices.push_back({std::string(kModelAsItIs), "the model of " + view.facts().path});
  for (const ConfigPreset& preset : config_presets()) choices.push_back({preset.name, preset.help});
  for (const ModelFolder& folder : view.facts().models)
    choices.push_back({folder.path, folder.in_words + (folder.has_weights ? "; its weights, to train them further"
                                                                          : "; its shape, with new weights")});
  choices.push_back({std::string(kCustom), "asks for layers, width, heads and context"});
  return choices;
}

std::string usual_model(const WizardView& view) {
  return view.facts().earlier ? std::string(kModelAsItIs) : config_presets().front().name;
}

std::vector<std::string> sets_of_model(const WizardView& view) {
  std::vector<std::string> sets = {"model.kv_heads=\"auto\"", "model.ffn_width=\"auto\"", "model.head_dim=\"auto\"",
                                   "model.vocabulary=\"auto\"", "model.tied_embeddings=\"auto\""};
  const std::string model = view.answer("model");
  const ModelFolder* folder = view.model_folder();
  if (folder != nullptr && folder->has_weights) return folder->settings;
  if (folder == nullptr && model != kCustom) return {};
  if (view.facts().earlier_config)  // which may train a model of ids further
    sets.insert(sets.end(), {"model.path=\"\"", "data.tokenizer=\"bytes\""});
  if (folder == nullptr) return sets;
  sets.insert(sets.end(), folder->settings.begin(), folder->settings.end());
  return sets;
}

bool is_custom(const WizardView& view) { return view.is("model", kCustom); }
bool is_custom_llama(const WizardView& view) { return is_custom(view) && view.is("family", "llama"); }

std::vector<Choice> families(const WizardView&) {
  return {{"gpt2", "learned positions, LayerNorm, GELU, biases"}, {"llama", "RMSNorm, rotary positions, SwiGLU"}};
}

/// Heads of a legal size that is as near to 64 as can be; 1 where no size is legal.
std::int64_t heads_for(std::int64_t width) {
  constexpr std::int64_t kUsualSize = 64, kLargestSize = 256;
  std::int64_t best = 0;
  for (std::int64_t size = 2; size <= std::min(width, kLargestSize); size += 2)
    if (width % size == 0 && (best == 0 || std::abs(size - kUsualSize) < std::abs(best - kUsualSize))) best = size;
  return best == 0 ? 1 : width / best;
}

std::vector<std::string> heads_with_width(const WizardView& view) {
  return {fmt::format("model.heads={}", heads_for(view.number("width", 1)))};
}

std::vector<std::string> samples_with_context(const WizardView& view) {
  return {"data.sequence_length=" + view.answer("context")};
}

/// A token file, or texts of numbers by the ending that this project's pages give them.
bool may_hold_ids(const std::string& text) { return text.ends_with(".h5") || text.ends_with(".ids"); }

/// A model of ids learns from nothing but numbers of its tokens, any other one from texts.
bool suits_model(const WizardView& view, const std::string& text) {
  return view.tokens().data.tokenizer == "ids" ? may_hold_ids(text) : !text.ends_with(".ids");
}

std::vector<Choice> texts(const WizardView& view) {
  std::vector<Choice> choices;
  for (const std::string& text : view.facts().texts)
    if (suits_model(view, text)) choices.push_back({text});
  return choices;
}

std::string usual_text(const WizardView& view) {
  if (view.facts().earlier && (view.model_folder() == nullptr || !view.model_folder()->has_weights)) {
    const DataConfig& data = view.config().data;
    std::string list;
    for (const std::string& text : data.text) list += (list.empty() ? "" : ", ") + toml_quoted(text);
    return data.tokens.empty() ? "[" + list + "]" : "[" + toml_quoted(data.tokens) + "]";
  }
  const std::vector<Choice> found = texts(view);
  if (!found.empty()) return found.front().value;
  return view.tokens().data.tokenizer == "ids" ? "tokens.h5" : "data.txt";
}

bool is_token_file(const std::string& list) { return list.find(".h5\"") != std::string::npos; }

std::string several_sources(const WizardView&, const std::string& answer) {
  const bool is_one = answer.find("\", \"") == std::string::npos;
  return is_token_file(answer) && !is_one ? "Please enter texts, or one token file (.h5) alone." : "";
}

std::vector<std::string> sources(const WizardView& view) {
  const std::string list = view.answer("text");
  if (!is_token_file(list)) return {"data.text=" + list};
  return {"data.tokens=" + list.substr(1, list.size() - 2)};
}

// Above any known model, so that a forecast neither takes long nor overflows.
std::string too_many_layers(const WizardView&, const std::string& answer) { return outside(answer, 1, 1000); }
std::string too_wide(const WizardView&, const std::string& answer) { return outside(answer, 2, 65'536); }
std::string too_long(const WizardView&, const std::string& answer) { return outside(answer, 1, 1 << 20); }

Question shape_question(std::string_view id, std::string_view key, std::string_view prompt, std::string_view help) {
  return {.id = id,
          .section = kSection,
          .prompt = prompt,
          .help = help,
          .kind = AnswerKind::integer,
          .key = key,
          .matters = is_custom,
          .when = "a custom model"};
}

std::vector<Question> shape_questions() {
  Question family{.id = "family",
                  .section = kSection,
                  .prompt = "Which architecture?",
                  .help = "Both train alike; llama is what most of today's models are variants of.",
                  .kind = AnswerKind::choice,
                  .key = "model.family",
                  .matters = is_custom,
                  .when = "a custom model",
                  .choices = families};
  Question layers = shape_question("layers", "model.layers", "How many layers?",
                                   "Parameters grow with layers times the square of the width.");
  Question width = shape_question("width", "model.width", "How wide is the residual stream?",
                                  "Called hidden size elsewhere. An even number, best a multiple of 64.");
  layers.objection = too_many_layers;
  width.objection = too_wide;
  width.sets = heads_with_width;
  Question heads = shape_question("heads", "model.heads", "How many attention heads?",
                                  "They divide the width into even sizes of at most 256; 64 and 128 are usual.");
  Question kv_heads = shape_question("kv_heads", "model.kv_heads", "How many key and value heads?",
                                     "A divisor of the heads. Fewer of them save memory when the model generates.");
  kv_heads.matters = is_custom_llama;
  kv_heads.when = "a custom llama";
  kv_heads.usual = [](const WizardView& view) { return std::to_string(view.config().model.heads); };
  Question context = shape_question("context", "model.context", "How many tokens can the model read at once?",
                                    "Samples of the training get this length, too. Activations grow with it.");
  context.objection = too_long;
  context.sets = samples_with_context;
  return {family, layers, width, heads, kv_heads, context};
}

}  // namespace

std::vector<Question> model_questions() {
  std::vector<Question> questions{
      {.id = "model",
       .section = kSection,
       .prompt = "Which model do you want to train?",
       .help =
           "A preset brings batch, schedule and learning rate that suit it. What `ferula checkpoint import` or a run "
           "has left here is trained further, with a small learning rate; of a folder of Hugging Face only the shape "
           "is taken: import it first to begin from its weights.",
       .kind = AnswerKind::choice,
       .choices = models,
       .usual = usual_model,
       .sets = sets_of_model}};
  for (const Question& each : shape_questions()) questions.push_back(each);
  questions.push_back({.id = "text",
                       .section = kSection,
                       .prompt = "Which text should it learn from?",
                       .help = "Files, folders and globs with commas between, or one token file of `ferula tokenize` "
                               "(.h5). An imported model wants the numbers of its own tokens: docs/usage.md has a "
                               "script that makes them. On a cluster: where all nodes see it, not on one node's disk.",
                       .kind = AnswerKind::list,
                       .choices = texts,
                       .usual = usual_text,
                       .objection = several_sources,
                       .sets = sources});
  return questions;
}

}  // namespace ferula
