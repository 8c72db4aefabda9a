// Questions on SLURM that most people need not be asked: partition by name, time of a job, account, requeue.
#include "app/wizard/wizard_tables.hpp"
#include "cluster/quantities.hpp"
#include "config/setting_value.hpp"

namespace ferula {
namespace {

constexpr std::string_view kSection = "Details";
constexpr std::string_view kTheirs = "default";  // what SLURM takes where nothing is said
constexpr std::int64_t kSomeTime = 86'400;

bool in_slurm(const WizardView& view) { return view.in_slurm(); }
bool in_unknown_slurm(const WizardView& view) { return view.in_slurm() && view.partition() == nullptr; }

std::optional<std::int64_t> longest(const WizardView& view) {
  return view.partition() == nullptr ? std::nullopt : seconds_of_slurm_time(view.partition()->time_limit);
}

std::string usual_time(const WizardView& view) {
  std::int64_t time = view.job().time_s.value_or(longest(view).value_or(kSomeTime));
  if (time == kNoTimeLimit) time = kSomeTime;
  return slurm_time(time);
}

std::string too_long(const WizardView& view, const std::string& answer) {
  const auto time = seconds_of_slurm_time(answer);
  if (!time) return "Please enter a time as SLURM writes it: 4:00:00, 1-00:00:00.";
  const auto most = view.profile() == nullptr ? longest(view) : std::nullopt;
  if (!most || *time <= *most) return "";
  return fmt::format("Please enter at most {}, the limit of partition {}.", slurm_time(*most), view.partition()->name);
}

std::string named_or_theirs(const std::string& name) { return name.empty() ? std::string(kTheirs) : name; }

/// The setting of a name that SLURM may choose by itself.
std::vector<std::string> name_setting(std::string_view key, const std::string& answer) {
  return {fmt::format("{}={}", key, toml_quoted(answer == kTheirs ? "" : answer))};
}

}  // namespace

std::vector<Question> slurm_questions() {
  return {
      {.id = "partition",
       .section = kSection,
       .prompt = "Which partition of SLURM?",
       .help = "`sinfo` lists them on the cluster. default: the one that the cluster takes by itself.",
       .kind = AnswerKind::text,
       .asked = Asked::rare,
       .matters = in_unknown_slurm,
       .when = "a SLURM cluster of which nothing is known here",
       .usual = [](const WizardView& view) { return named_or_theirs(view.config().slurm.partition); },
       .sets = [](const WizardView& view) { return name_setting("slurm.partition", view.answer("partition")); }},
      {.id = "job_time",
       .section = kSection,
       .prompt = "How long may one job take?",
       .help = "A limit of the job, not of the run. A shorter job starts sooner.",
       .kind = AnswerKind::text,
       .asked = Asked::rare,
       .key = "slurm.time",
       .matters = in_slurm,
       .when = "SLURM",
       .usual = usual_time,
       .objection = too_long},
      {.id = "requeue",
       .section = kSection,
       .prompt = "Should a job that reaches its limit be queued again and go on?",
       .help = "no: it saves and ends; submit it again to go on.",
       .kind = AnswerKind::yes_no,
       .asked = Asked::rare,
       .key = "slurm.requeue",
       .matters = in_slurm,
       .when = "SLURM"},
      {.id = "account",
       .section = kSection,
       .prompt = "Which account pays for the job?",
       .help = "default: yours. Clusters that bill projects want a name; `sacctmgr show associations user=$USER` lists "
               "yours.",
       .kind = AnswerKind::text,
       .asked = Asked::rare,
       .matters = in_slurm,
       .when = "SLURM",
       .usual = [](const WizardView& view) { return named_or_theirs(view.config().slurm.account); },
       .sets = [](const WizardView& view) { return name_setting("slurm.account", view.answer("account")); }}};
}

}  // namespace ferula
