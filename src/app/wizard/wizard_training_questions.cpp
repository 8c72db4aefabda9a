// Questions on how it is trained that everybody is asked, and the join of the whole table.
#include "app/wizard/wizard_tables.hpp"
#include "config/zero_stage.hpp"

namespace ferula {
namespace {

constexpr std::string_view kSection = "Training";

std::vector<Choice> stages(const WizardView&) {
  return {{"0", "no ZeRO: every GPU holds everything"},
          {"1", "optimizer states are partitioned"},
          {"2", "gradients, too"},
          {"3", "parameters, too"}};
}

bool has_several_ranks(const WizardView& view) { return view.ranks() > 1; }

/// Accelerate's 2, or the lowest stage above it that fits.
std::string usual_stage(const WizardView& view) {
  if (view.facts().earlier) return std::to_string(view.config().zero_optimization.stage);
  WizardView at_two = view;
  at_two.add(*question_named("zero_stage"), "2");
  const MemoryOutlook& outlook = at_two.memory();
  if (outlook.fits()) return "2";
  return outlook.nearest ? std::to_string(outlook.nearest->stage) : "3";
}

std::vector<Choice> precisions(const WizardView&) {
  return {{"no", "32 bits"}, {"bf16", "16 bits, with 32-bit masters; fast on GPUs from 2020 on"}};
}

std::string usual_precision(const WizardView& view) {
  const bool native = view.on_gpus() || view.facts().has_native_bf16;
  const Auto<bool>& enabled = view.config().bf16.enabled;
  const bool wanted = view.facts().earlier && !enabled.is_auto() ? enabled.get() : native;
  return wanted ? "bf16" : "no";
}

std::vector<std::string> precision(const WizardView& view) {
  return {fmt::format("bf16.enabled={}", view.is("mixed_precision", "bf16"))};
}

std::string usual_steps(const WizardView& view) {
  constexpr std::int64_t kSomeSteps = 1000;
  return std::to_string(view.config().training.steps.value.value_or(kSomeSteps));
}

bool needs_a_smaller_batch(const WizardView& view) {
  const MemoryOutlook& outlook = view.memory();
  return !outlook.fits() && outlook.own.micro_batch > 1 &&
         (!outlook.nearest || outlook.nearest->micro_batch < outlook.own.micro_batch);
}

std::string usual_micro_batch(const WizardView& view) {
  const MemoryOutlook& outlook = view.memory();
  if (outlook.nearest) return std::to_string(outlook.nearest->micro_batch);
  if (outlook.offloaded) return std::to_string(outlook.offloaded->micro_batch);  // that is asked next
  return std::to_string(outlook.fewest ? outlook.fewest->micro_batch : outlook.own.micro_batch);
}

std::vector<Choice> offload_places(const WizardView&) {
  return {{"none", "in the GPU's memory"}, {"cpu", "in the node's memory; its processors update them"}};
}

/// No stage and batch fits on the GPUs alone.
bool needs_the_host(const WizardView& view) {
  const MemoryOutlook& outlook = view.memory();
  return !outlook.fits() && outlook.offloaded.has_value();
}

std::string usual_offload(const WizardView& view) {
  return needs_the_host(view) ? "cpu" : view.config().zero_optimization.offload_optimizer.device;
}

std::string usual_accumulation(const WizardView& view) {
  return std::to_string(view.resolved().training.gradient_accumulation_steps.get());
}

bool accumulates_sharded(const WizardView& view) {
  const Config config = view.resolved();
  return has_several_ranks(view) && shares_gradients(config.zero_optimization) &&
         config.training.gradient_accumulation_steps.get() > 1;
}

std::vector<Question> batch_questions() {
  return {
      {.id = "micro_batch",
       .section = kSection,
       .prompt = "How many samples should each GPU compute at once?",
       .help = "The micro batch. Activations grow with it; more of them accumulated give the same training in less "
               "memory and more time.",
       .kind = AnswerKind::integer,
       .asked = Asked::rare,
       .key = "training.train_micro_batch_size_per_gpu",
       .urgent = needs_a_smaller_batch,
       .urgent_when = "where memory does not suffice",
       .usual = usual_micro_batch},
      {.id = "offload_optimizer",
       .section = kSection,
       .prompt = "Where to offload optimizer states?",
       .help = "Masters and moments are most of what training holds. In the node's memory they leave room on the GPUs; "
               "each step takes longer.",
       .kind = AnswerKind::choice,
       .asked = Asked::rare,
       .key = "zero_optimization.offload_optimizer.device",
       .matters = [](const WizardView& view) { return view.on_gpus(); },
       .when = "GPUs",
       .urgent = needs_the_host,
       .urgent_when = "where no stage fits without it",
       .choices = offload_places,
       .usual = usual_offload},
      {.id = "gradient_accumulation_steps",
       .section = kSection,
       .prompt = "How many gradient accumulation steps?",
       .help = "Micro batches in one step of the optimizer. The batch of a step is micro batch x this x GPUs.",
       .kind = AnswerKind::integer,
       .asked = Asked::rare,
       .key = "training.gradient_accumulation_steps",
       .usual = usual_accumulation},
      {.id = "reduce_once",
       .section = kSection,
       .prompt = "Should gradients be summed over the GPUs only once a step?",
       .help = "Stages 2 and 3 sum them after each micro batch. Once a step sends less and holds whole gradients.",
       .kind = AnswerKind::yes_no,
       .asked = Asked::rare,
       .key = "zero_optimization.reduce_once",
       .matters = accumulates_sharded,
       .when = "accumulation at ZeRO stage 2 or 3"},
  };
}

}  // namespace

std::vector<Question> training_questions() {
  std::vector<Question> questions{
      {.id = "zero_stage",
       .section = kSection,
       .prompt = "What should be your DeepSpeed's ZeRO optimization stage?",
       .help =
           "Prefer stage 1 if it fits: more partitioning is slower. Stages 1 and 2 are for training; stage 3 is for "
           "models that do not fit otherwise, and for inference. Stages 0 to 2 send 2, stage 3 sends 3 times the "
           "parameters a step. A DeepSpeed file that you have: `ferula config import` first; the wizard keeps its "
           "values.",
       .kind = AnswerKind::choice,
       .key = "zero_optimization.stage",
       .matters = has_several_ranks,
       .when = "several ranks",
       .choices = stages,
       .usual = usual_stage},
      {.id = "mixed_precision",
       .section = kSection,
       .prompt = "Do you wish to use mixed precision?",
       .help = "bf16 computes in 16 bits and needs 18 bytes a parameter, 32 bits need 16; activations halve.",
       .kind = AnswerKind::choice,
       .choices = precisions,
       .usual = usual_precision,
       .sets = precision},
      {.id = "steps",
       .section = kSection,
       .prompt = "How many steps should it train?",
       .help = "Steps of the optimizer; each reads one batch. The schedule of the learning rate ends with them.",
       .kind = AnswerKind::integer,
       .key = "training.steps",
       .usual = usual_steps}};
  for (const Question& each : batch_questions()) questions.push_back(each);
  return questions;
}

std::span<const Question> wizard_questions() {
  static const std::vector<Question> questions = [] {
    std::vector<Question> all;
    for (const auto& part :
         {job_questions(), model_questions(), training_questions(), rare_questions(), slurm_questions()})
      all.insert(all.end(), part.begin(), part.end());
    return all;
  }();
  return questions;
}

const Question* question_named(std::string_view id) {
  for (const Question& each : wizard_questions())
    if (each.id == id) return &each;
  return nullptr;
}

}  // namespace ferula
