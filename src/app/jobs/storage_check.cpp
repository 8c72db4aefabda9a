#include "app/jobs/storage_check.hpp"

#include <filesystem>

#include "app/model_setup.hpp"
#include "base/human.hpp"
#include "checkpoint/checkpoint_folder.hpp"
#include "data/glob.hpp"
#include "train/storage_forecast.hpp"

namespace ferula {
namespace {

namespace fs = std::filesystem;

/// Which files an entry of data.text means now.
std::vector<std::string> files_of(const std::string& entry) {
  std::error_code unreadable;
  if (fs::is_directory(entry, unreadable)) return files_below(entry);
  if (is_glob(entry)) return expand_glob(entry);
  return fs::is_regular_file(entry, unreadable) ? std::vector<std::string>{entry} : std::vector<std::string>{};
}

/// A byte of text is at most a token; a token takes one byte or four. 0 where the run has its tokens, or takes others'.
std::int64_t token_bytes(const Config& config, const RunDirectory& run) {
  if (!config.data.tokens.empty() || fs::exists(run.tokens())) return 0;
  std::int64_t bytes = 0;
  for (const std::string& entry : config.data.text)
    for (const std::string& path : files_of(entry)) {
      std::error_code unreadable;
      const std::uintmax_t size = fs::file_size(path, unreadable);
      if (!unreadable) bytes += static_cast<std::int64_t>(size);
    }
  return config.data.tokenizer == "bytes" ? bytes : 4 * bytes;
}

std::int64_t present_checkpoints(FileSystem& files, const RunDirectory& run) {
  return std::ssize(steps_in(files, run.checkpoints().string()));
}

bool fits(const FreeSpace& need, const FreeSpace& room) { return need.bytes <= room.bytes && need.files <= room.files; }

}  // namespace

RunStorage RunStorage::of_runs(std::int64_t runs) const {
  RunStorage all{.need = need, .words = fmt::format("{} runs, each with {}", runs, words)};
  all.need.whole.bytes *= runs;
  all.need.whole.files *= runs;
  return all;
}

RunStorage run_storage(const Config& config, const TransformerSpec& spec, int ranks, FileSystem& files) {
  const RunDirectory run = run_directory(config.run);
  const SavingPlan plan{.steps = config.training.steps.value,
                        .every_steps = config.checkpoint.every_steps,
                        .retention = {config.checkpoint.keep_last, config.checkpoint.keep_every}};
  const StorageForecast forecast =
      forecast_storage(model_table(config, spec), optimizer_rule(config.optimizer), plan, ranks);
  const std::int64_t present = present_checkpoints(files, run);
  StorageNeed need{.whole = forecast.left_to_write(present), .least = forecast.checkpoint};
  need.whole.bytes += token_bytes(config, run);
  return {.need = need,
          .words = fmt::format("{} checkpoint{} of {} at once at most{}; {} in {} files are still to be written",
                               forecast.checkpoints, forecast.checkpoints == 1 ? "" : "s",
                               human_bytes(forecast.checkpoint.bytes),
                               present > 0 ? fmt::format(", {} of them there already", present) : "",
                               human_bytes(need.whole.bytes), need.whole.files)};
}

std::string storage_problem(const SystemFacts& facts, const RunStorage& storage, const std::string& directory) {
  const auto room = storage_room(facts, directory);
  if (!room || fits(storage.need.whole, room->free)) return "";
  const std::string found =
      fmt::format("{}: {}; found room for {} ({}) and {} files ({})", directory, storage.words,
                  human_bytes(room->free.bytes), room->bytes_limit, room->free.files, room->files_limit);
  constexpr std::string_view kRemedy =
      "remove what is not needed, lower [checkpoint] keep_last, or set [run] output_dir to a larger place";
  if (!fits(storage.need.least, room->free))
    throw CapacityError(fmt::format("{}: not one checkpoint fits, the run could never save; {}", found, kRemedy));
  return fmt::format("{}; later checkpoints will not fit: {}", found, kRemedy);
}

std::string place_problem(const ClusterProfile& profile, const std::string& run) {
  if (profile.home.empty() || !run.starts_with(profile.home + "/")) return "";
  return fmt::format(
      "{} lies under {}, which {} keeps small and for settings only; set [run] output_dir to a folder "
      "under {}",
      run, profile.home, profile.name, profile.work);
}

std::string missing_text(const DataConfig& data) {
  if (!data.tokens.empty()) return "";
  for (const std::string& entry : data.text)
    if (files_of(entry).empty())
      return fmt::format(
          "data.text: found nothing at '{}', seen from {}; the run will end at its start unless "
          "something is there by then",
          entry, fs::current_path().string());
  return "";
}

}  // namespace ferula
