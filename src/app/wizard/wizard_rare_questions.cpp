// Questions that most people need not be asked: optimizer, schedule, evaluation, checkpoints, names.
#include <algorithm>
#include <filesystem>

#include "app/jobs/storage_check.hpp"
#include "app/wizard/wizard_tables.hpp"

namespace ferula {
namespace {

constexpr std::string_view kSection = "Details";

/// A rare question whose answer is a setting and whose usual answer is the value so far.
Question setting_question(std::string_view id, std::string_view key, AnswerKind kind, std::string_view prompt,
                          std::string_view help) {
  return {
      .id = id, .section = kSection, .prompt = prompt, .help = help, .kind = kind, .asked = Asked::rare, .key = key};
}

bool spans_machines(const WizardView& view) { return view.machines() > 1 && view.ranks() % view.machines() == 0; }

std::string inside_machines(const WizardView& view) { return std::to_string(view.ranks() / view.machines()); }

std::vector<std::string> shard_size(const WizardView& view) {
  const std::string ranks = view.is("hybrid_sharding", "yes") ? inside_machines(view) : "\"all\"";
  return {"zero_optimization.shard_size=" + ranks};
}

std::string no(const WizardView&) { return "no"; }

std::string usual_clipping(const WizardView& view) {
  return view.config().training.gradient_clipping > 0.0 ? "yes" : "no";
}

std::vector<std::string> clipping(const WizardView& view) {
  if (view.is("use_clipping", "no")) return {"training.gradient_clipping=0"};
  return view.config().training.gradient_clipping > 0.0 ? std::vector<std::string>{}
                                                        : std::vector<std::string>{"training.gradient_clipping=1.0"};
}

std::string not_above_zero(const WizardView&, const std::string& answer) {
  return std::stod(answer) > 0.0 ? "" : "Please enter a number above 0.";
}

std::string usual_warmup(const WizardView& view) {
  const std::int64_t steps = view.config().training.steps.value.value_or(1);
  const std::int64_t tenth = std::max<std::int64_t>(1, steps / 10);
  return std::to_string(std::min(view.config().scheduler.params.warmup_num_steps, tenth));
}

bool lies_in_a_home(const WizardView& view) {
  const std::filesystem::path runs = std::filesystem::absolute(view.config().run.output_dir).lexically_normal();
  return view.profile() != nullptr && !place_problem(*view.profile(), runs.string()).empty();
}

std::vector<Question> sharing_questions() {
  return {
      {.id = "hybrid_sharding",
       .section = kSection,
       .prompt = "Should the state be sharded only inside each machine?",
       .help = "Hybrid sharding: each machine holds all of it, so that most traffic stays inside. Takes more memory.",
       .kind = AnswerKind::yes_no,
       .asked = Asked::rare,
       .matters = spans_machines,
       .when = "several machines",
       .usual = no,
       .sets = shard_size},
      {.id = "check_collectives",
       .section = kSection,
       .prompt = "Should distributed operations be checked while running for errors? This can avoid timeout issues "
                 "but will be slower.",
       .help = "Each collective is compared on all ranks; two that disagree are named.",
       .kind = AnswerKind::yes_no,
       .asked = Asked::rare,
       .key = "debug.check_collectives",
       .matters = [](const WizardView& view) { return view.ranks() > 1; },
       .when = "several ranks"},
      {.id = "use_clipping",
       .section = kSection,
       .prompt = "Do you want to use gradient clipping?",
       .help = "A gradient whose norm is larger than a limit is scaled down to it.",
       .kind = AnswerKind::yes_no,
       .asked = Asked::rare,
       .usual = usual_clipping,
       .sets = clipping},
      {.id = "gradient_clipping",
       .section = kSection,
       .prompt = "What is the gradient clipping value?",
       .help = "The largest norm of the whole gradient.",
       .kind = AnswerKind::number,
       .asked = Asked::rare,
       .key = "training.gradient_clipping",
       .matters = [](const WizardView& view) { return view.is("use_clipping", "yes"); },
       .when = "gradient clipping",
       .objection = not_above_zero}};
}

std::vector<Question> learning_questions() {
  Question warmup = setting_question("warmup_steps", "scheduler.params.warmup_num_steps", AnswerKind::integer,
                                     "How many steps should the warm-up take?", "At most the steps of the run.");
  warmup.matters = [](const WizardView& view) { return view.config().scheduler.type != "constant"; };
  warmup.when = "a scheduler other than constant";
  warmup.usual = usual_warmup;
  return {setting_question("sequence_length", "data.sequence_length", AnswerKind::integer,
                           "How many tokens has a sample?", "At most the model's context. Activations grow with it."),
          setting_question("optimizer", "optimizer.type", AnswerKind::choice, "Which optimizer?",
                           "AdamW keeps two moments a parameter (8 bytes), Lion one, SGD at most one."),
          setting_question("learning_rate", "optimizer.params.lr", AnswerKind::number, "Which learning rate?",
                           "The largest one of the schedule. Larger models want smaller ones: 6e-4 for 124 million "
                           "parameters, 3e-4 for 7 billion."),
          setting_question("weight_decay", "optimizer.params.weight_decay", AnswerKind::number, "Which weight decay?",
                           "A share of the learning rate; biases and norms are left out."),
          setting_question("scheduler", "scheduler.type", AnswerKind::choice, "How should the learning rate go?",
                           "linear and cosine rise over the warm-up, then fall; Warmup... are DeepSpeed's."),
          warmup};
}

}  // namespace

std::vector<Question> rare_questions() {
  std::vector<Question> questions = sharing_questions(), more = learning_questions();
  questions.insert(questions.end(), more.begin(), more.end());
  questions.push_back(setting_question("evaluate_every", "training.evaluate_every", AnswerKind::integer,
                                       "After how many steps should it be validated?", "0: only at the end."));
  questions.push_back(setting_question("checkpoint_every", "checkpoint.every_steps", AnswerKind::integer,
                                       "After how many steps should it be saved?",
                                       "0: only at the end, and when it is stopped. Shorter than the time limit of a "
                                       "job, so that a node that dies costs little."));
  questions.push_back(setting_question("run_name", "run.name", AnswerKind::text, "What is the run called?",
                                       "Its folder is the output directory with this name."));
  Question output_dir =
      setting_question("output_dir", "run.output_dir", AnswerKind::text, "Where should runs be kept?",
                       "On a cluster: the shared file system with room for checkpoints, not your home.");
  output_dir.urgent = lies_in_a_home;
  output_dir.urgent_when = "where it would be the cluster's home directories";
  questions.push_back(output_dir);
  questions.push_back(setting_question("seed", "run.seed", AnswerKind::integer, "Which seed?",
                                       "Initial weights and the order of samples follow from it."));
  return questions;
}

}  // namespace ferula
