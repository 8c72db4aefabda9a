// How a run continues: which checkpoint, and whether the configuration still fits it.
#pragma once

#include <optional>
#include <string>

#include "app/rank_context.hpp"
#include "checkpoint/resume.hpp"
#include "config/run_config.hpp"
#include "data/token_file.hpp"
#include "params/parameter_store.hpp"
#include "train/run_directory.hpp"

namespace ferula {

/// What `--resume` asks for.
struct ResumeChoice {
  enum class Kind : unsigned char { newest, never, path };
  Kind kind = Kind::newest;
  std::string path;  // of Kind::path
};

/// Throws ConfigError where the path does not exist.
ResumeChoice resume_choice(FileSystem& files, const std::string& option);

/// Whether the run's directory holds a checkpoint, good or not.
bool has_checkpoints(FileSystem& files, const RunDirectory& directory);

/// Collective. A run that goes on from `loaded` leaves the checkpoints after it behind: those that `--resume PATH`
/// turned away from become abandoned-…, those that a resume skipped damaged-…; says so.
void leave_newer_behind(RankContext& context, const ResumeChoice& choice, const RunDirectory& directory,
                        const LoadedCheckpoint& loaded);

/// Collective. Refuses to go on with a run of this directory on other tokens than `loaded` was trained on, and says
/// what was and what is; of a checkpoint from elsewhere (`--resume PATH`) that is a warning: a new run on other tokens.
void check_tokens(RankContext& context, const RunDirectory& directory, const LoadedCheckpoint& loaded,
                  const TokenFile& tokens);

/// Collective. Fills the store from the chosen checkpoint and returns where it stood; nothing for a new run. Warns of
/// damaged checkpoints and of changed settings that matter; throws ConfigError for changes that make resuming
/// impossible.
std::optional<LoadedCheckpoint> resume(RankContext& context, const ResumeChoice& choice, const RunDirectory& directory,
                                       const Config& config, ParameterStore& store);

/// Collective. Fills the store of a new run with the values of `[model] path`, whatever their layout and precision;
/// does nothing where there is none.
void start_from_model(RankContext& context, const Config& config, ParameterStore& store);

}  // namespace ferula
