#include "app/job_plan.hpp"

#include <filesystem>

#include "app/fit_plan.hpp"
#include "app/gpu_cards.hpp"
#include "app/model_setup.hpp"
#include "base/human.hpp"
#include "cluster/batch_script.hpp"
#include "cluster/words.hpp"
#include "comm/launch_environment.hpp"
#include "comm/simulated_transport.hpp"
#include "config/resolve_config.hpp"
#include "data/tokenizer.hpp"

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

/// A job that waits for a day and dies of memory in its first minute is refused now.
void require_cards_hold_it(const JobPlan& job, const std::string& path, const TransformerSpec& spec) {
  if (job.request.gpus_per_node == 0 || !job.profile) return;
  const ClusterPartition* partition = job.profile->partition(job.request.partition);
  if (partition == nullptr || partition->card.empty()) return;
  const GpuCardType card = cards_named({partition->card}).front();
  MemoryLedger ledger;
  const std::unique_ptr<Device> device = make_cpu_device(ledger);
  const std::unique_ptr<Ops> ops = make_cpu_ops(*device);
  const auto ranks = static_cast<int>(job.request.ranks());
  const FitPlanner planner(job.config, spec, *device, *ops, static_cast<int>(job.request.ntasks_per_node));
  const PlannedLayout layout = planner.layout(job.config.zero_optimization.stage, ranks,
                                              job.config.training.train_micro_batch_size_per_gpu.get());
  if (layout.bytes() <= room_on(card)) return;
  throw CapacityError(fmt::format(
      "a rank needs {} of GPU memory at ZeRO stage {} on {} ranks, an {} has room for {}; `ferula plan {} --ranks {} "
      "--card '{}'` tells what fits. Nothing was submitted",
      human_bytes(layout.bytes()), layout.stage, ranks, card.name, human_bytes(room_on(card)), shell_word(path), ranks,
      card.name));
}

std::string profile_in_environment() {
  std::string found;
  for (const auto& [name, value] : ferula_environment())
    if (name == "FERULA_SLURM__PROFILE") found = value;
  return found;
}

}  // namespace

std::string this_program() { return std::filesystem::read_symlink("/proc/self/exe").string(); }

std::optional<ClusterProfile> profile_of(const SlurmConfig& slurm) {
  if (slurm.profile.empty()) return std::nullopt;
  return load_profile(slurm.profile, profile_folders());
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
  const TransformerSpec spec = transformer_spec(job.config.model, vocabulary);
  job.config.zero_optimization.shard_size = shard_size;
  require_cards_hold_it(job, config_path, spec);
  return job;
}

void refuse_on_head_node(const std::string& config_path, const std::vector<std::string>& sets,
                         const std::vector<std::string>& arguments) {
  if (!slurm_job().empty()) return;
  Config config;
  config.slurm.profile = profile_in_environment();
  std::optional<ClusterProfile> profile;
  try {  // a configuration with mistakes is told by the command itself
    if (!config_path.empty()) config = draft_config(config_path, ferula_environment(), sets).loaded.config;
    profile = profile_of(config.slurm);
  } catch (const ConfigError&) {
    return;
  }
  if (!profile || !is_head_node(*profile, host_name())) return;
  std::vector<std::string> words{"ferula"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  const bool is_training = !arguments.empty() && arguments.front() == "train" && !config_path.empty();
  const std::string submit = is_training ? fmt::format("\n  a job:  ferula submit {}", shell_word(config_path)) : "";
  throw ConfigError(fmt::format(
      "{} is a head node of {} (its profile: {}), where nothing may compute; found no SLURM job around `{}`. Start "
      "it in one:{}\n  now:    {}",
      host_name(), profile->name, profile->origin, command_text(words), submit,
      command_text(step_words(job_request(config, &*profile), words))));
}

}  // namespace ferula
