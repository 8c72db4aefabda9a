// One rank chooses, all ranks read, and the outcome is everybody's.
#include "checkpoint/resume.hpp"

#include <limits>

#include "checkpoint/agreement.hpp"
#include "checkpoint/checkpoint_folder.hpp"
#include "checkpoint/names.hpp"

namespace ferula {
namespace {

/// Every rank reads its pieces, rank 0 looks at the size of every file; the worst outcome of all ranks.
Outcome load_together(const LoadContext& context, const std::string& checkpoint, std::span<const OwnedPiece> needed,
                      ReadScope scope, LoadedCheckpoint& loaded) {
  const Outcome mine = outcome_of([&] {
    CheckpointReader reader(context.files, context.device, checkpoint);
    if (context.world.rank() == 0) check_sizes(context.files, checkpoint, reader.manifest());  // also of files unread
    reader.read(needed, scope);
    reader.config_text();  // a checkpoint whose configuration is damaged is damaged
    loaded.checkpoint = checkpoint;
    loaded.state = reader.manifest().state;
    loaded.config_digest = reader.manifest().config_digest;
    loaded.statistics = reader.statistics();
  });
  return agree(context.world, context.stream, mine);
}

/// The newest step below `limit`, as rank 0 sees it; negative where there is none.
std::int64_t newest_below(const LoadContext& context, const std::string& folder, std::int64_t limit) {
  std::int64_t newest = -1;
  require(agree(context.world, context.stream, outcome_of([&] {
                  if (context.world.rank() != 0) return;
                  for (const std::int64_t step : steps_in(context.files, folder))
                    if (step < limit) newest = step;
                })));
  return static_cast<std::int64_t>(agree_max(context.world, context.stream, static_cast<double>(newest)));
}

}  // namespace

std::optional<LoadedCheckpoint> load_newest(const LoadContext& context, const std::string& folder,
                                            std::span<const OwnedPiece> needed, ReadScope scope) {
  LoadedCheckpoint loaded;
  std::int64_t step = newest_below(context, folder, std::numeric_limits<std::int64_t>::max());
  if (step < 0) return std::nullopt;
  for (; step >= 0; step = newest_below(context, folder, step)) {
    const Outcome outcome = load_together(context, join_path(folder, step_name(step)), needed, scope, loaded);
    if (outcome.good()) {
      if (!loaded.warnings.empty()) loaded.warnings.back() += fmt::format("; using {} instead", step_name(step));
      return loaded;
    }
    if (outcome.severity == Severity::failure) require(outcome);
    loaded.warnings.push_back(outcome.problem);
  }
  DataError all_damaged(
      fmt::format("{}: expected a good checkpoint, found only damaged ones:\n  {}\nrestore one from a "
                  "backup, or start anew with --resume never",
                  folder, fmt::join(loaded.warnings, "\n  ")));
  all_damaged.share();
  throw all_damaged;
}

LoadedCheckpoint load_from(const LoadContext& context, const std::string& path, std::span<const OwnedPiece> needed,
                           ReadScope scope) {
  std::optional<std::string> folder;
  require(
      agree(context.world, context.stream, outcome_of([&] { folder = folder_of_checkpoints(context.files, path); })));
  const bool is_checkpoint = agree_max(context.world, context.stream, folder ? 0.0 : 1.0) > 0.0;
  LoadedCheckpoint loaded;
  if (is_checkpoint) {
    require(load_together(context, path, needed, scope, loaded));
    return loaded;
  }
  if (auto newest = load_newest(context, *folder, needed, scope)) return std::move(*newest);
  throw DataError(fmt::format("{}: its checkpoints went away while they were being read", *folder));
}

}  // namespace ferula
