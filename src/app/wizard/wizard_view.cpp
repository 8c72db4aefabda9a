// What follows from the facts and the answers so far: ranks, room, configuration, memory.
#include <algorithm>
#include <cctype>
#include <filesystem>

#include "app/model_setup.hpp"
#include "app/plan/gpu_cards.hpp"
#include "app/wizard/wizard_question.hpp"
#include "base/narrow.hpp"
#include "config/config_text.hpp"
#include "config/setting_value.hpp"
#include "config/toml_document.hpp"
#include "data/tokenizer.hpp"

namespace ferula {
namespace {

/// Of several cards of one name the one whose memory `words` tell, too: "a100 sxm4 80gb".
std::optional<GpuCardType> card_called(const std::string& word, const std::string& words) {
  try {
    std::vector<GpuCardType> found = cards_named({word});
    if (found.size() >= 2)
      std::erase_if(found, [&](const GpuCardType& card) {
        return words.find(fmt::format("{:.0f}gb", card.memory_gib)) == std::string::npos;
      });
    if (found.size() == 1) return found.front();
  } catch (const ConfigError&) {
  }
  return std::nullopt;
}

/// The card that a cluster means by "rtx_a5000" or "a100-sxm4-80gb"; nothing where it means none or several.
std::optional<GpuCardType> card_meant(std::string words) {
  std::transform(words.begin(), words.end(), words.begin(),
                 [](unsigned char c) { return c == '_' || c == '-' ? ' ' : static_cast<char>(std::tolower(c)); });
  if (const auto card = card_called(words, words)) return card;
  for (std::size_t at = 0; at < words.size();) {
    const std::size_t end = std::min(words.find(' ', at), words.size());
    const std::string word = words.substr(at, end - at);
    const bool names_a_model = word.size() > 2 && word.find_first_of("0123456789") != std::string::npos;
    if (const auto card = names_a_model ? card_called(word, words) : std::nullopt) return card;
    at = end + 1;
  }
  return std::nullopt;
}

MemoryRoom room_of(const std::optional<GpuCardType>& card) {
  if (!card) return {};
  return {.place = std::string(card->name), .bytes = room_on(*card), .card_gib = card->memory_gib};
}

}  // namespace

std::string WizardView::answer(std::string_view id) const {
  const auto found = answers_.find(id);
  return found == answers_.end() ? "" : found->second;
}

std::int64_t WizardView::number(std::string_view id, std::int64_t otherwise) const {
  const std::string text = answer(id);
  return text.empty() ? otherwise : std::stoll(text);
}

int WizardView::ranks() const {
  if (is("machine_type", "multi-GPU")) return narrow<int>(number("num_gpus", 1));
  return is("machine_type", "multi-CPU") ? narrow<int>(number("num_processes", 1)) : 1;
}

int WizardView::machines() const {
  if (!answer("num_machines").empty()) return narrow<int>(number("num_machines", 1));
  const int each = is("machine_type", "multi-GPU") ? gpus_a_machine() : processors_a_machine();
  if (each == 0) return 1;
  int machines = narrow<int>(ceil_div(ranks(), each));
  while (ranks() % machines != 0) ++machines;
  return machines;
}

int WizardView::processors_a_machine() const {
  const ClusterPartition* known = profile() == nullptr ? nullptr : profile()->partition(partition()->name);
  return known == nullptr ? 0 : narrow<int>(known->cpus_per_node);
}

bool WizardView::on_gpus() const {
  if (is("machine_type", "multi-GPU")) return true;
  return is("machine_type", "no") && is("use_cpu", "no");
}

const Partition* WizardView::partition() const {
  const std::string environment = answer("compute_environment");
  for (const Partition& each : facts_->partitions)
    if (environment == each.answer()) return &each;
  return nullptr;
}

bool WizardView::in_slurm() const { return is("compute_environment", "slurm") || partition() != nullptr; }

const ClusterProfile* WizardView::profile() const {
  const Partition* chosen = partition();
  if (chosen == nullptr || chosen->cluster.empty()) return nullptr;
  for (const KnownCluster& each : facts_->clusters)
    if (each.word == chosen->cluster) return &each.profile;
  return nullptr;
}

int WizardView::gpus_a_machine() const {
  if (const Partition* chosen = partition()) return chosen->gpus_a_node;
  if (is("compute_environment", "this machine")) return narrow<int>(std::ssize(facts_->gpus));
  return answer("num_machines").empty() ? 0 : ranks() / narrow<int>(number("num_machines", 1));
}

MemoryRoom WizardView::room() const {
  const bool is_here = is("compute_environment", "this machine");
  if (!on_gpus()) {
    if (!is_here || !facts_->host_bytes) return {.place = "process"};
    return {.place = "this machine", .bytes = *facts_->host_bytes / ranks()};
  }
  if (const std::string card = answer("card"); !card.empty()) return room_of(card_meant(card));
  if (is_here && !facts_->gpus.empty()) {
    const GpuInfo& gpu = facts_->gpus.front();
    return {.place = gpu.name,
            .bytes = gpu.memory_bytes - kGpuOverhead,
            .card_gib = static_cast<double>(gpu.memory_bytes) / 0x1p30};
  }
  const Partition* chosen = partition();
  return chosen != nullptr && !chosen->card.empty() ? room_of(card_meant(chosen->card)) : MemoryRoom{};
}

const ModelFolder* WizardView::model_folder() const {
  for (const ModelFolder& folder : facts_->models)
    if (is("model", folder.path)) return &folder;
  return nullptr;
}

Config WizardView::tokens() const {
  const ModelFolder* folder = model_folder();
  Config known;
  if (folder != nullptr && folder->ids > 0) {
    known.data.tokenizer = "ids";
    known.model.vocabulary.value = folder->ids;
  } else if (facts_->earlier_config && (answer("model").empty() || is("model", kModelAsItIs))) {
    known.data.tokenizer = facts_->earlier_config->data.tokenizer;
    known.model.vocabulary = facts_->earlier_config->model.vocabulary;
  }
  return known;
}

ResolveFacts WizardView::resolve_facts() const {
  return {.data_parallel_ranks = ranks(),
          .tokenizer_vocabulary = make_tokenizer(tokens())->vocabulary(),
          .device = {.kind = on_gpus() ? "cuda" : "cpu",
                     .reason = "the wizard's answer",
                     .has_native_bf16 = on_gpus() || facts_->has_native_bf16},
          .tensor_names = tensor_names};
}

ConfigPreset WizardView::base() const {
  const std::string model = answer("model");
  const std::vector<ConfigPreset>& presets = config_presets();
  const auto chosen =
      std::find_if(presets.begin(), presets.end(), [&](const ConfigPreset& each) { return each.name == model; });
  if (chosen == presets.end() && facts_->earlier) return *facts_->earlier;
  ConfigPreset base = chosen == presets.end() ? presets.front() : *chosen;
  const std::string name = std::filesystem::path(facts_->path).stem();
  if (!name.empty() && name != "." && name != "..") base.lines.push_back("run.name = " + toml_quoted(name));
  return base;
}

const Config& WizardView::config() const {
  if (config_) return *config_;
  std::vector<std::string> sets;
  for (const auto& [key, value] : sets_) sets.push_back(key + "=" + value);
  config_ = config_from(base(), sets, resolve_facts());
  return *config_;
}

Config WizardView::resolved() const {
  ConfigDraft draft = draft_config_text(to_toml(config()), facts_->path, {}, {});
  if (in_slurm()) check_job(draft, job(), profile());
  return resolve_config(std::move(draft), resolve_facts()).config;
}

std::string WizardView::toml() const { return to_toml(config(), TomlComments::help); }

const MemoryOutlook& WizardView::memory() const {
  if (!memory_) {
    const int on_node = std::max(1, ranks() / std::max(1, machines()));
    memory_ = memory_outlook(resolved(), config().zero_optimization.shard_size, ranks(), on_node, room());
  }
  return *memory_;
}

void WizardView::set(const std::string& assignment) {
  const std::size_t equals = assignment.find('=');
  sets_.insert_or_assign(assignment.substr(0, equals), assignment.substr(equals + 1));
}

void WizardView::add(const Question& question, const std::string& answer) {
  answers_.insert_or_assign(std::string(question.id), answer);
  if (question.sets != nullptr)
    for (const std::string& each : question.sets(*this)) set(each);
  if (!question.key.empty()) {
    const bool is_number = answer.find_first_not_of("0123456789") == std::string::npos;
    const bool is_word = question.kind == AnswerKind::text || (question.kind == AnswerKind::choice && !is_number);
    std::string value = is_word ? toml_quoted(answer) : answer;
    if (question.kind == AnswerKind::yes_no) value = answer == "yes" ? "true" : "false";
    set(fmt::format("{}={}", question.key, value));
  }
  config_.reset();
  memory_.reset();
  if (trial_ && trial_->id == question.id && trial_->answer == answer) config_ = std::move(trial_->config);
  trial_.reset();
}

std::string WizardView::mistake_of(const Question& question, const std::string& answer) const {
  WizardView next = *this;
  next.add(question, answer);
  try {
    next.resolved();
    trial_ = {question.id, answer, next.config()};
  } catch (const ConfigMistakes& found) {
    const std::vector<ConfigMistake>& all = found.mistakes();
    const auto own = std::find_if(all.begin(), all.end(), [&](const auto& each) { return each.key == question.key; });
    const ConfigMistake& shown = own == all.end() ? all.front() : *own;  // the base may have others, which give way
    return shown.fix.empty() ? shown.message : fmt::format("{}; {}", shown.message, shown.fix);
  }
  return "";
}

}  // namespace ferula
