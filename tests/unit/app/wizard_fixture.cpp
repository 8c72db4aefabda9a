#include "wizard_fixture.hpp"

#include "app/model_setup.hpp"
#include "data/tokenizer.hpp"

namespace ferula {

WizardFacts cluster_facts() {
  WizardFacts facts{.path = "train.toml", .processors = 8, .host_bytes = std::int64_t{1} << 33};
  facts.partitions = {{"defq", true, 8, 8, "a5000", "1-00:00:00"},
                      {"a6000", false, 1, 4, "", "7-00:00:00"},
                      {"cpu", false, 2, 0, "", "infinite"}};
  facts.models = {model_in("models/tiny",
                           R"({"model_type": "llama", "num_hidden_layers": 2, "hidden_size": 64,
                               "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 96,
                               "max_position_embeddings": 2048, "vocab_size": 300, "tie_word_embeddings": true})")};
  facts.texts = {"data/*.txt", "corpus.h5"};
  return facts;
}

WizardFacts prometheus_facts(ClusterSigns signs) {
  WizardFacts facts = cluster_facts();
  facts.partitions.clear();
  signs.shipped = {{"prometheus", load_profile("prometheus", {FERULA_SOURCE_DIR "/slurm/profiles"})}};
  add_cluster(facts, std::move(signs));
  return facts;
}

ClusterSigns signs_of_prometheus() {
  return {.host = "prometheus",
          .has_slurm = true,
          .partitions = {{"defq", true, 8, 8, "a5000", "1-00:00:00"}, {"a6000", false, 1, 4, "", "7-00:00:00"}}};
}

WizardFacts machine_facts(int gpus) {
  WizardFacts facts{.path = "my run.toml", .processors = 2};
  for (int index = 0; index < gpus; ++index)
    facts.gpus.push_back({.index = index, .name = "NVIDIA RTX A5000", .memory_bytes = 25'757'220'864});
  return facts;
}

ModelFolder imported_model(const ScratchDirectory& scratch) {
  const std::string text =
      "[model]\nfamily = \"llama\"\nlayers = 2\nwidth = 32\nheads = 2\ncontext = 48\nvocabulary = 64\n"
      "[data]\ntokenizer = \"ids\"\nsequence_length = 48\n";
  scratch.write("imported/config.toml", text);
  return weights_in(scratch.path("imported"), text);
}

std::string mistakes_in(const Wizard& wizard) {
  const WizardView& view = wizard.outcome();
  try {
    ConfigDraft draft = draft_config_text(view.toml(), "train.toml", {}, {});
    const ClusterProfile* profile = view.profile();
    if (view.in_slurm()) {
      const JobRequest job = job_request(draft.loaded.config, profile);
      check_job(draft, job, profile);
      if (job.ranks() != view.ranks())
        return fmt::format("a job of {} ranks for a run of {}", job.ranks(), view.ranks());
    }
    const ResolveFacts facts{.data_parallel_ranks = view.ranks(),
                             .tokenizer_vocabulary = make_tokenizer(draft.loaded.config)->vocabulary(),
                             .device = {.kind = "cuda", .has_native_bf16 = true},
                             .tensor_names = tensor_names};
    resolve_config(std::move(draft), facts);
  } catch (const ConfigMistakes& found) {
    return found.what();
  }
  return "";
}

}  // namespace ferula
