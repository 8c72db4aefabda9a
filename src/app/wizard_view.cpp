// What follows from the facts and the answers so far: ranks, room, configuration, memory.
#include <algorithm>

#include "app/gpu_cards.hpp"
#include "app/model_setup.hpp"
#include "app/wizard_question.hpp"
#include "base/narrow.hpp"
#include "config/config_text.hpp"
#include "config/setting_value.hpp"
#include "data/tokenizer.hpp"

namespace ferula {
namespace {

constexpr std::string_view kSlurm = "slurm:";

/// The card that a part of its name means; nothing where it means none or several.
std::optional<GpuCardType> card_called(std::string_view words) {
  try {
    const std::vector<GpuCardType> found = cards_named({std::string(words)});
    if (found.size() == 1) return found.front();
  } catch (const ConfigError&) {
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
  const int asked = narrow<int>(number("num_machines", 1));
  const int each = gpus_a_machine();
  if (!answer("num_machines").empty() || each == 0 || !is("machine_type", "multi-GPU")) return asked;
  return narrow<int>(ceil_div(ranks(), each));
}

bool WizardView::on_gpus() const {
  if (is("machine_type", "multi-GPU")) return true;
  return is("machine_type", "no") && is("use_cpu", "no");
}

const Partition* WizardView::partition() const {
  const std::string environment = answer("compute_environment");
  for (const Partition& each : facts_->partitions)
    if (environment == std::string(kSlurm) + each.name) return &each;
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
  if (const std::string card = answer("card"); !card.empty()) return room_of(card_called(card));
  if (is_here && !facts_->gpus.empty()) {
    const GpuInfo& gpu = facts_->gpus.front();
    return {.place = gpu.name,
            .bytes = gpu.memory_bytes - kGpuOverheadBytes,
            .card_gib = static_cast<double>(gpu.memory_bytes) / 0x1p30};
  }
  const Partition* chosen = partition();
  return chosen != nullptr && !chosen->card.empty() ? room_of(card_called(chosen->card)) : MemoryRoom{};
}

ResolveFacts WizardView::resolve_facts() const {
  const Config defaults;
  return {.data_parallel_ranks = ranks(),
          .tokenizer_vocabulary = make_tokenizer(defaults.data.tokenizer)->vocabulary(),
          .device = {.kind = on_gpus() ? "cuda" : "cpu",
                     .reason = "the wizard's answer",
                     .has_native_bf16 = on_gpus() || facts_->has_native_bf16},
          .tensor_names = tensor_names};
}

ConfigPreset WizardView::base() const {
  const std::string model = answer("model");
  for (const ConfigPreset& preset : config_presets())
    if (preset.name == model) return preset;
  return facts_->earlier ? *facts_->earlier : config_presets().front();
}

const Config& WizardView::config() const {
  if (config_) return *config_;
  std::vector<std::string> sets;
  for (const auto& [key, value] : sets_) sets.push_back(key + "=" + value);
  config_ = config_from(base(), sets, resolve_facts());
  return *config_;
}

Config WizardView::resolved() const {
  return resolve_config(load_config_text(to_toml(config()), facts_->path, {}, {}), resolve_facts()).config;
}

std::string WizardView::toml() const { return to_toml(config(), TomlComments::help); }

const MemoryOutlook& WizardView::memory() const {
  if (!memory_) {
    const int on_node = std::max(1, ranks() / std::max(1, machines()));
    memory_ = memory_outlook(resolved(), config().zero_optimization.shard_size, ranks(), on_node, room());
  }
  return *memory_;
}

void WizardView::add(const Question& question, const std::string& answer) {
  answers_.insert_or_assign(std::string(question.id), answer);
  config_.reset();
  memory_.reset();
  const auto set = [&](const std::string& assignment) {
    const std::size_t equals = assignment.find('=');
    sets_.insert_or_assign(assignment.substr(0, equals), assignment.substr(equals + 1));
  };
  if (question.sets != nullptr)
    for (const std::string& each : question.sets(*this)) set(each);
  if (question.key.empty()) return;
  const bool is_word = question.kind == AnswerKind::text || question.kind == AnswerKind::choice;
  const bool is_number = answer.find_first_not_of("0123456789") == std::string::npos;
  std::string value = is_word && !is_number ? toml_quoted(answer) : answer;
  if (question.kind == AnswerKind::yes_no) value = answer == "yes" ? "true" : "false";
  set(fmt::format("{}={}", question.key, value));
}

std::string WizardView::mistake_of(const Question& question, const std::string& answer) const {
  WizardView next = *this;
  next.add(question, answer);
  try {
    next.resolved();
  } catch (const ConfigMistakes& found) {
    const ConfigMistake& first = found.mistakes().front();
    return first.fix.empty() ? first.message : fmt::format("{}; {}", first.message, first.fix);
  }
  return "";
}

}  // namespace ferula
