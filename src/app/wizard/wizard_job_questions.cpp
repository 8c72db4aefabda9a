// Questions on where the job runs: machine, partition, QOS, ranks, card.
#include <algorithm>

#include "app/plan/gpu_cards.hpp"
#include "app/wizard/wizard_cluster.hpp"
#include "app/wizard/wizard_tables.hpp"

namespace ferula {
namespace {

constexpr std::int64_t kMostRanks = 65536;
constexpr std::string_view kSection = "The job";

std::string partition_in_words(const Partition& each) {
  const std::string gpus = each.gpus_a_node == 0
                               ? "no GPUs"
                               : fmt::format("{} x {} a node", each.gpus_a_node, each.card.empty() ? "GPU" : each.card);
  const std::string limit = each.time_limit.empty() ? "" : ", at most " + each.time_limit;
  const std::string where = each.is_elsewhere ? "SLURM of " + each.cluster : "SLURM";
  return fmt::format("{}: {} node{}, {}{}", where, each.nodes, each.nodes == 1 ? "" : "s", gpus, limit);
}

std::vector<Choice> environments(const WizardView& view) {
  std::vector<Choice> choices{{"this machine", "no scheduler"}};
  for (const Partition& each : view.facts().partitions) choices.push_back({each.answer(), partition_in_words(each)});
  if (view.facts().partitions.empty() || view.facts().partitions.front().is_elsewhere)
    choices.push_back({"slurm", "a SLURM cluster of which nothing is known here"});
  choices.push_back({"ssh", "several machines that reach each other by ssh"});
  return choices;
}

/// The partition of the earlier file, else one with GPUs before one without, the cluster's default first.
std::string usual_environment(const WizardView& view) {
  const Partition* best = nullptr;
  const SlurmConfig earlier = view.facts().earlier_config ? view.facts().earlier_config->slurm : SlurmConfig{};
  const auto worth = [&](const Partition& each) {
    const bool was_chosen = each.name == earlier.partition && each.cluster == earlier.profile;
    return (was_chosen ? 4 : 0) + (each.gpus_a_node > 0 ? 2 : 0) + (each.is_default ? 1 : 0);
  };
  for (const Partition& each : view.facts().partitions) {
    const bool is_unlikely = each.is_elsewhere && worth(each) < 4;
    if (!is_unlikely && (best == nullptr || worth(each) > worth(*best))) best = &each;
  }
  return best == nullptr ? "this machine" : best->answer();
}

std::vector<Choice> machine_types(const WizardView&) {
  return {{"no", "No distributed training"}, {"multi-CPU", "several processes without GPUs"}, {"multi-GPU", ""}};
}

bool gpus_are_there(const WizardView& view) {
  const bool elsewhere = view.is("compute_environment", "slurm") || view.is("compute_environment", "ssh");
  return elsewhere || view.gpus_a_machine() > 0;
}

std::string usual_machine_type(const WizardView& view) {
  if (view.is("compute_environment", "slurm") || view.is("compute_environment", "ssh")) return "multi-GPU";
  if (view.gpus_a_machine() > 1) return "multi-GPU";
  return view.partition() != nullptr && view.gpus_a_machine() == 0 ? "multi-CPU" : "no";
}

const ClusterPartition* known_partition(const WizardView& view) {
  return view.profile() == nullptr ? nullptr : view.profile()->partition(view.partition()->name);
}

bool has_several_qos(const WizardView& view) {
  const ClusterPartition* partition = known_partition(view);
  return partition != nullptr && partition->qos.size() >= 2;
}

std::vector<Choice> qualities(const WizardView& view) {
  std::vector<Choice> choices;
  const ClusterPartition* partition = known_partition(view);
  if (partition == nullptr) return choices;
  for (const std::string& name : partition->qos) {
    const ClusterQos* qos = view.profile()->find_qos(name);
    if (qos == nullptr) continue;
    std::string limits = qos->time.empty() ? "no limit of time" : "a job takes at most " + qos->time;
    if (qos->gpus) limits += fmt::format(" and {} GPUs", *qos->gpus);
    choices.push_back({name, limits + (qos->preemptible ? ", may be requeued at any time" : "")});
  }
  return choices;
}

std::string usual_quality(const WizardView& view) {
  const std::vector<Choice> choices = qualities(view);
  if (choices.empty()) return "";
  const std::string earlier = view.facts().earlier_config ? view.facts().earlier_config->slurm.qos : "";
  const bool stays =
      std::any_of(choices.begin(), choices.end(), [&](const Choice& each) { return each.value == earlier; });
  return stays ? earlier : choices.front().value;
}

/// The most GPUs of a node that the QOS allows.
int grantable_gpus(const WizardView& view) {
  const ClusterQos* qos = view.profile() == nullptr ? nullptr : view.profile()->find_qos(view.answer("qos"));
  const std::int64_t most = qos == nullptr || !qos->gpus ? kMostRanks : *qos->gpus;
  return static_cast<int>(std::min<std::int64_t>(view.gpus_a_machine(), most));
}

bool alone(const WizardView& view) { return view.is("machine_type", "no"); }
bool on_processors(const WizardView& view) { return view.is("machine_type", "multi-CPU"); }
bool on_several_gpus(const WizardView& view) { return view.is("machine_type", "multi-GPU"); }

bool may_have_several_machines(const WizardView& view) {
  return view.ranks() > 1 && !view.is("compute_environment", "this machine");
}

int known_ranks_a_machine(const WizardView& view) {
  return on_several_gpus(view) ? view.gpus_a_machine() : view.processors_a_machine();
}

bool machines_are_unknown(const WizardView& view) {
  return view.partition() == nullptr || known_ranks_a_machine(view) == 0;
}

std::string too_many(const WizardView&, const std::string& answer) { return outside(answer, 1, kMostRanks); }

std::string more_than_the_partition_has(const WizardView& view, const std::string& answer) {
  if (std::string why = outside(answer, 1, kMostRanks); !why.empty()) return why;
  const Partition* chosen = view.partition();
  const std::int64_t gpus = std::stoll(answer);
  if (view.is("compute_environment", "this machine") && !view.facts().gpus.empty())
    return gpus <= std::ssize(view.facts().gpus) ? "" : outside(answer, 1, std::ssize(view.facts().gpus));
  if (chosen == nullptr || chosen->gpus_a_node == 0) return "";
  const std::int64_t most = std::int64_t{chosen->gpus_a_node} * std::max(1, chosen->nodes);
  if (std::string why = outside(answer, 1, most); !why.empty()) return why;
  if (gpus <= chosen->gpus_a_node || gpus % chosen->gpus_a_node == 0) return "";
  return fmt::format("Please enter at most {} GPUs, those of one node, or a multiple of them.", chosen->gpus_a_node);
}

std::string machines_that_do_not_divide(const WizardView& view, const std::string& answer) {
  if (std::string why = outside(answer, 1, view.ranks()); !why.empty()) return why;
  const std::int64_t machines = std::stoll(answer);
  if (view.ranks() % machines != 0)
    return fmt::format("Please enter a divisor of {}: each machine takes as many as the others.", view.ranks());
  if (view.partition() == nullptr) return "";
  if (const int nodes = view.partition()->nodes; nodes > 0 && machines > nodes) return outside(answer, 1, nodes);
  const int most = known_ranks_a_machine(view);
  if (most == 0 || view.ranks() / machines <= most) return "";
  return fmt::format("Please enter more: a machine takes at most {} of the {} ranks.", most, view.ranks());
}

std::vector<Choice> cards(const WizardView&) {
  std::vector<Choice> choices;
  for (const GpuCardType& card : known_cards())
    choices.push_back({std::string(card.name), fmt::format("{:g} GiB", card.memory_gib)});
  choices.push_back({"another", "its memory is not compared"});
  return choices;
}

bool card_is_unknown(const WizardView& view) { return view.on_gpus() && !view.room().bytes; }

std::string usual_ranks(const WizardView& view) {
  if (on_several_gpus(view)) return std::to_string(std::max(1, grantable_gpus(view)));
  return std::to_string(std::clamp(view.facts().processors, 1, 4));
}

/// The device, and what it asks of SLURM.
std::vector<std::string> with_device(const WizardView& view, std::string_view device) {
  std::vector<std::string> sets = slurm_settings(view);
  sets.push_back(fmt::format("run.device=\"{}\"", device));
  return sets;
}

std::vector<std::string> device_of_type(const WizardView& view) {
  if (alone(view)) return slurm_settings(view);
  return with_device(view, on_several_gpus(view) ? "cuda" : "cpu");
}

std::vector<std::string> device_of_one(const WizardView& view) {
  return with_device(view, view.is("use_cpu", "yes") ? "cpu" : "auto");
}

std::string usual_use_cpu(const WizardView& view) { return gpus_are_there(view) ? "no" : "yes"; }

std::vector<Question> where_questions() {
  return {
      {.id = "compute_environment",
       .section = kSection,
       .prompt = "In which compute environment are you running?",
       .help =
           "Where the job will run. It decides which cards are compared with the memory it needs, what [slurm] of the "
           "file asks for, and which commands are shown at the end. Of SLURM's partitions those are listed that "
           "`sinfo` or the cluster's profile knows.",
       .kind = AnswerKind::choice,
       .choices = environments,
       .usual = usual_environment,
       .sets = slurm_settings},
      {.id = "qos",
       .section = kSection,
       .prompt = "Which quality of service (QOS)?",
       .help =
           "Limits of the job, not of the run: at the limit of time it is saved, queued again and goes on by "
           "itself. With a longer QOS it waits for a place less often; a preemptible one takes what is free, and may "
           "be sent back to the queue at any time.",
       .kind = AnswerKind::choice,
       .key = "slurm.qos",
       .matters = has_several_qos,
       .when = "a partition whose profile has several",
       .choices = qualities,
       .usual = usual_quality,
       .sets = slurm_settings},
      {.id = "machine_type",
       .section = kSection,
       .prompt = "Which type of machine are you using?",
       .help = "Take several GPUs when one does not hold the run (the memory is shown behind each answer) or takes too "
               "long, and compare their number with what the cluster allows you. Several machines take longer for each "
               "step than the same GPUs in one.",
       .kind = AnswerKind::choice,
       .choices = machine_types,
       .usual = usual_machine_type,
       .sets = device_of_type},
      {.id = "use_cpu",
       .section = kSection,
       .prompt = "Do you want to run your training on CPU only (even if a GPU is available)?",
       .help = "no: on a GPU where there is one, else on the processors. yes: GPUs are left alone.",
       .kind = AnswerKind::yes_no,
       .matters = [](const WizardView& view) { return alone(view) && gpus_are_there(view); },
       .when = "without distributed training, where there is a GPU",
       .usual = usual_use_cpu,
       .sets = device_of_one},
  };
}

std::vector<Question> rank_questions() {
  return {
      {.id = "num_processes",
       .section = kSection,
       .prompt = "How many processes should be used for distributed training?",
       .help = "Ranks of the whole job. The processors of a machine are divided among its ranks.",
       .kind = AnswerKind::integer,
       .matters = on_processors,
       .when = "multi-CPU",
       .usual = usual_ranks,
       .objection = too_many,
       .sets = slurm_settings},
      {.id = "num_gpus",
       .section = kSection,
       .prompt = "How many GPU(s) should be used for distributed training?",
       .help = "GPUs of the whole job, one rank each. A QOS may allow fewer than a node has; beyond one node they come "
               "in whole nodes.",
       .kind = AnswerKind::integer,
       .matters = on_several_gpus,
       .when = "multi-GPU",
       .usual = usual_ranks,
       .objection = more_than_the_partition_has,
       .sets = slurm_settings},
      {.id = "num_machines",
       .section = kSection,
       .prompt = "How many different machines will you use (use more than 1 for multi-node training)?",
       .help =
           "Machines that share the ranks evenly. Training over several machines takes longer for each step than on "
           "as many GPUs of one machine.",
       .kind = AnswerKind::integer,
       .asked = Asked::rare,
       .matters = may_have_several_machines,
       .when = "several ranks elsewhere",
       .urgent = machines_are_unknown,
       .urgent_when = "where nobody knows how many a machine takes",
       .usual = [](const WizardView& view) { return std::to_string(view.machines()); },
       .objection = machines_that_do_not_divide,
       .sets = slurm_settings},
      {.id = "hostfile",
       .section = kSection,
       .prompt = "Please enter the path to the hostfile to use with mpirun",
       .help = "A text file with a line `NAME slots=N` for each machine. It only appears in the command at the end.",
       .kind = AnswerKind::text,
       .matters = [](const WizardView& view) { return view.is("compute_environment", "ssh") && view.machines() > 1; },
       .when = "several machines by ssh",
       .usual = [](const WizardView&) { return std::string("~/hostfile"); }},
      {.id = "card",
       .section = kSection,
       .prompt = "Which card are the GPUs?",
       .help = "Its memory is compared with what the run needs. Nothing of it is written into the file.",
       .kind = AnswerKind::choice,
       .matters = card_is_unknown,
       .when = "GPUs that this machine does not have and SLURM does not name",
       .choices = cards,
       .usual = [](const WizardView& view) { return std::string(cards(view).front().value); }},
  };
}

}  // namespace

std::string outside(const std::string& answer, std::int64_t least, std::int64_t most) {
  const std::int64_t value = std::stoll(answer);
  if (value >= least && value <= most) return "";
  return fmt::format("Please enter an integer from {} to {}.", least, most);
}

std::vector<Question> job_questions() {
  std::vector<Question> questions = where_questions(), more = rank_questions();
  questions.insert(questions.end(), more.begin(), more.end());
  return questions;
}

}  // namespace ferula
