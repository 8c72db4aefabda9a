#include "app/jobs/job_plan.hpp"

#include <filesystem>

#include "app/model_setup.hpp"
#include "app/plan/fit_plan.hpp"
#include "app/plan/gpu_cards.hpp"
#include "base/human.hpp"
#include "cluster/batch_script.hpp"
#include "cluster/words.hpp"
#include "comm/launch_environment.hpp"
#include "comm/simulated_transport.hpp"
#include "config/resolve_config.hpp"
#include "data/tokenizer.hpp"
#include "train/run_report.hpp"

namespace ferula {
namespace {

/// Beside the program in its build folder, and where an installed one has its files.
std::vector<std::string> profile_folders() {
  const std::filesystem::path folder = std::filesystem::path(this_program()).parent_path();
  return {(folder.parent_path() / "slurm" / "profiles").string(),
          (folder.parent_path() / "share" / "ferula" / "slurm" / "profiles").string()};
}

DeviceFacts device_of(const RunConfig& run, const JobRequest& request) {
  if (run.device == "cpu" || request.gpus_per_node == 0) return {.kind = "cpu", .reason = "the job asks for no GPUs"};
  return {.kind = "cuda", .reason = "the job asks for GPUs", .has_native_bf16 = true};
}

/// The same of optimizer state in the memory of the nodes.
void require_nodes_hold_it(const JobPlan& job, const PlannedLayout& layout) {
  const std::int64_t needed = job.request.ntasks_per_node * layout.host_bytes;
  const std::int64_t asked = job.request.memory_mib << 20;
  if (asked == 0 || needed <= asked) return;
  throw CapacityError(fmt::format(
      "the {} ranks of a node keep {} of optimizer state in its memory (zero_optimization.offload_optimizer), the job "
      "asks for {} of it: ask for more ([slurm] mem) or for more nodes. Nothing was submitted",
      job.request.ntasks_per_node, human_bytes(needed), human_bytes(asked)));
}

/// A job that waits for a day and dies of memory in its first minute is refused now.
void require_cards_hold_it(const JobPlan& job, const std::string& path) {
  if (job.request.gpus_per_node == 0 || !job.profile) return;
  const ClusterPartition* partition = job.profile->partition(job.request.partition);
  if (partition == nullptr || partition->card.empty()) return;
  const GpuCardType card = cards_named({partition->card}).front();
  MemoryLedger ledger;
  const std::unique_ptr<Device> device = make_cpu_device(ledger);
  const std::unique_ptr<Ops> ops = make_cpu_ops(*device);
  const auto ranks = static_cast<int>(job.request.ranks());
  const FitPlanner planner(job.config, job.spec, *device, *ops, static_cast<int>(job.request.ntasks_per_node));
  const PlannedLayout layout = planner.layout(job.config.zero_optimization.stage, ranks,
                                              job.config.training.train_micro_batch_size_per_gpu.get());
  require_nodes_hold_it(job, layout);
  if (layout.bytes() <= room_on(card)) return;
  const std::string advice = offload_advice(layout.memory.at(static_cast<std::size_t>(MemoryKind::optimizer)));
  throw CapacityError(fmt::format(
      "a rank needs {} of GPU memory at ZeRO stage {} on {} ranks, an {} has room for {}; {}{}`ferula plan {} --ranks "
      "{} --card '{}'` tells what fits. Nothing was submitted",
      human_bytes(layout.bytes()), layout.stage, ranks, card.name, human_bytes(room_on(card)), advice,
      advice.empty() ? "" : "; ", shell_word(path), ranks, card.name));
}

}  // namespace

std::string this_program() { return std::filesystem::read_symlink("/proc/self/exe").string(); }

std::optional<ClusterProfile> profile_of(const SlurmConfig& slurm) {
  if (slurm.profile.empty()) return std::nullopt;
  return load_profile(slurm.profile, profile_folders());
}

std::vector<ClusterProfile> shipped_profiles() { return all_profiles(profile_folders()); }

std::string profile_in_environment() {
  std::string found;
  for (const auto& [name, value] : ferula_environment())
    if (name == "FERULA_SLURM__PROFILE") found = value;
  return found;
}

JobPlan plan_job(const std::string& config_path, const std::vector<std::string>& sets) {
  ConfigDraft draft = draft_config(config_path, ferula_environment(), sets);
  const SlurmConfig& slurm = draft.loaded.config.slurm;
  JobPlan job;
  job.profile = profile_of(slurm);  // not an initialiser: GCC 12 frees members before it twice where it throws
  const ClusterProfile* profile = job.profile ? &*job.profile : nullptr;
  job.request = job_request(draft.loaded.config, profile);
  check_job(draft, job.request, profile);
  const std::string shard_size = draft.loaded.config.zero_optimization.shard_size;
  const std::int64_t vocabulary = make_tokenizer(draft.loaded.config)->vocabulary();
  const ResolveFacts facts{.data_parallel_ranks = job.request.ranks(),
                           .tokenizer_vocabulary = vocabulary,
                           .device = device_of(draft.loaded.config.run, job.request),
                           .tensor_names = tensor_names};
  job.config = resolve_config(std::move(draft), facts).config;
  job.spec = transformer_spec(job.config.model, vocabulary);
  job.config.zero_optimization.shard_size = shard_size;
  require_cards_hold_it(job, config_path);
  return job;
}

namespace {

struct NamedProfile {
  Config config;
  std::optional<ClusterProfile> profile;
};

NamedProfile named_profile(const std::string& config_path, const std::vector<std::string>& sets) {
  NamedProfile named;
  named.config.slurm.profile = profile_in_environment();
  try {
    if (!config_path.empty()) named.config = draft_config(config_path, ferula_environment(), sets).loaded.config;
    named.profile = profile_of(named.config.slurm);
  } catch (const ConfigError&) {
    return named;
  }
  return named;
}

}  // namespace

std::optional<ClusterProfile> profile_here(const std::string& config_path, const std::vector<std::string>& sets) {
  return named_profile(config_path, sets).profile;
}

void refuse_on_head_node(const std::string& config_path, const std::vector<std::string>& sets,
                         const std::vector<std::string>& arguments, HeavyWork work) {
  if (!slurm_job().empty()) return;
  auto [config, profile] = named_profile(config_path, sets);
  if (!profile || !is_head_node(*profile, host_name())) return;
  std::vector<std::string> words{"ferula"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  const bool is_training = !arguments.empty() && arguments.front() == "train" && !config_path.empty();
  const std::string submit = is_training ? fmt::format("\n  a job:  ferula submit {}", shell_word(config_path)) : "";
  if (work == HeavyWork::one_task) config.slurm.gpus_per_node.value = 0;
  const JobRequest request = job_request(config, &*profile);
  throw ConfigError(fmt::format(
      "{} is a head node of {} (its profile: {}), where nothing may compute; found no SLURM job around `{}`. Start "
      "it in one:{}\n  now:    {}",
      host_name(), profile->name, profile->origin, command_text(words), submit,
      command_text(work == HeavyWork::ranks ? step_words(request, words) : interactive_words(request, words))));
}

}  // namespace ferula
