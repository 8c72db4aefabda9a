#include "app/resume_run.hpp"

#include <filesystem>

#include "app/config_match.hpp"
#include "app/run_data.hpp"
#include "checkpoint/agreement.hpp"
#include "checkpoint/checkpoint_folder.hpp"
#include "checkpoint/names.hpp"
#include "checkpoint/set_aside.hpp"
#include "train/metrics_log.hpp"

namespace ferula {
namespace {

void check_configuration(RankContext& context, const std::string& checkpoint, const Config& config) {
  const std::string changed = match_configuration(context, checkpoint, config, StoreUse::training);
  if (!changed.empty())
    context.log.warning("these settings differ from those that wrote the checkpoint and change what is computed:" +
                        changed);
}

/// The checkpoint that a resume will most likely load; nothing for a new run or where all are damaged.
std::optional<std::string> checkpoint_to_check(FileSystem& files, const ResumeChoice& choice,
                                               const RunDirectory& directory) {
  if (choice.kind == ResumeChoice::Kind::path) return find_checkpoint(files, choice.path);
  const std::string folder = directory.checkpoints().string();
  const std::optional<std::int64_t> newest = newest_good_step(files, folder);
  return newest ? std::optional(join_path(folder, step_name(*newest))) : std::nullopt;
}

bool lies_in(const std::filesystem::path& path, const std::filesystem::path& folder) {
  return std::filesystem::weakly_canonical(path).parent_path() == std::filesystem::weakly_canonical(folder);
}

std::optional<LoadedCheckpoint> load(const LoadContext& load_context, const ResumeChoice& choice,
                                     const RunDirectory& directory, ParameterStore& store) {
  const std::vector<OwnedPiece> needed = store.needed_pieces();
  if (choice.kind == ResumeChoice::Kind::path)
    return load_from(load_context, choice.path, needed, ReadScope::everything);
  return load_newest(load_context, directory.checkpoints().string(), needed, ReadScope::everything);
}

}  // namespace

ResumeChoice resume_choice(FileSystem& files, const std::string& option) {
  if (option == "auto") return {};
  if (option == "never") return {.kind = ResumeChoice::Kind::never, .path = {}};
  if (!files.is_directory(option))
    throw ConfigError(
        fmt::format("--resume: expected auto, never or the folder of a checkpoint, found '{}', which is no folder; "
                    "`ferula checkpoint "
                    "list RUN` shows what there is",
                    option));
  return {.kind = ResumeChoice::Kind::path, .path = option};
}

bool has_checkpoints(FileSystem& files, const RunDirectory& directory) {
  return !steps_in(files, directory.checkpoints().string()).empty();
}

void check_tokens(RankContext& context, const RunDirectory& directory, const LoadedCheckpoint& loaded,
                  const TokenFile& tokens) {
  const std::map<std::string, std::string> notes = token_notes(tokens);
  if (name_same_tokens(loaded.state.notes, notes)) return;
  const std::string differ = fmt::format("{} was trained on other tokens: was {}, is {} in {}", loaded.checkpoint,
                                         tokens_in_words(loaded.state.notes), tokens_in_words(notes), tokens.path());
  if (!lies_in(loaded.checkpoint, directory.checkpoints())) return context.log.warning(differ);
  require(
      {.severity = Severity::failure,
       .problem = fmt::format("{}; bring back the text (or data.tokens) that it was trained on, or to train on other "
                              "tokens choose another run.name, with --resume {} to begin from here",
                              differ, loaded.checkpoint),
       .code = ExitCode::failed});
}

void leave_newer_behind(RankContext& context, const ResumeChoice& choice, const RunDirectory& directory,
                        const LoadedCheckpoint& loaded) {
  const std::string_view prefix = choice.kind == ResumeChoice::Kind::path ? kAbandonedPrefix : kDamagedPrefix;
  on_first_rank(context, [&] {
    for (const std::string& aside :
         set_newer_aside(context.files, directory.checkpoints().string(), loaded.state.step, prefix))
      context.log.info(fmt::format("set aside as {}: this run goes on from step {}", aside, loaded.state.step));
    if (choice.kind != ResumeChoice::Kind::path) return;
    const std::string lines = keep_later_lines(context.files, directory.metrics(), loaded.state.step);
    if (!lines.empty()) context.log.info(fmt::format("the lines of all steps so far are kept in {}", lines));
  });
}

std::optional<LoadedCheckpoint> resume(RankContext& context, const ResumeChoice& choice, const RunDirectory& directory,
                                       const Config& config, ParameterStore& store) {
  if (choice.kind == ResumeChoice::Kind::never) return std::nullopt;
  const LoadContext load_context{context.files, context.mesh.world(), context.execution.device,
                                 context.execution.communication};
  if (const auto expected = checkpoint_to_check(context.files, choice, directory))
    check_configuration(context, *expected, config);
  std::optional<LoadedCheckpoint> loaded = load(load_context, choice, directory, store);
  if (!loaded) return std::nullopt;
  for (const std::string& warning : loaded->warnings) context.log.warning(warning);
  store.adopt_loaded_state(true);
  return loaded;
}

void start_from_model(RankContext& context, const Config& config, ParameterStore& store) {
  const std::string& path = config.model.path;
  if (path.empty()) return;
  const LoadContext load_context{context.files, context.mesh.world(), context.execution.device,
                                 context.execution.communication};
  const LoadedCheckpoint loaded = load_from(load_context, path, store.needed_pieces(), ReadScope::starting_values);
  for (const std::string& warning : loaded.warnings) context.log.warning(warning);
  store.adopt_loaded_state(true);  // masters were read with the values
  context.log.info(fmt::format("starts from the values of {}", loaded.checkpoint));
}

}  // namespace ferula
