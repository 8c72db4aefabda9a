#include "support/train/tiny_training.hpp"

#include <gtest/gtest.h>

namespace ferula::test {
std::string save(TinyRank& rank, const std::string& folder) {
  const auto files = make_posix_file_system();
  CheckpointWriter writer(folder, {}, *files, rank.rank.mesh.world(), *rank.rank.device, rank.execution.communication);
  SaveRequest request;
  request.state = state_of(rank.trainer.progress());
  const SaveResult saved = writer.save(rank.store.owned_pieces(), request);
  EXPECT_TRUE(saved.committed) << saved.problem;
  return saved.checkpoint;
}

void load(TinyRank& rank, const std::string& checkpoint) {
  const auto files = make_posix_file_system();
  const LoadContext context{*files, rank.rank.mesh.world(), *rank.rank.device, rank.execution.communication};
  const std::vector<OwnedPiece> needed = rank.store.needed_pieces();
  const LoadedCheckpoint loaded = load_from(context, checkpoint, needed, ReadScope::everything);
  rank.store.adopt_loaded_state(true);
  rank.trainer.restore(progress_of(loaded.state));
}

double loss_after_a_stop(const TinyRun& before, const TinyRun& behind) {
  const ScratchDirectory scratch;
  double loss = 0.0;
  on_tiny_ranks(before, tiny_dataset(), [&](TinyRank& rank) {
    for (int step = 0; step < 3; ++step) rank.trainer.step();
    save(rank, scratch.path("checkpoints"));
  });
  on_tiny_ranks(behind, tiny_dataset(), [&](TinyRank& rank) {
    load(rank, scratch.path("checkpoints"));
    rank.trainer.step();
    const double last = rank.trainer.step().loss;
    if (rank.rank.mesh.rank() == 0) loss = last;
  });
  return loss;
}

ExitCode run_training(TinyRank& rank, const TinyTraining& training, const StopRequest& stop) {
  const auto files = make_posix_file_system();
  const RunDirectory directory{training.root};
  const LoadContext context{*files, rank.rank.mesh.world(), *rank.rank.device, rank.execution.communication};
  const std::vector<OwnedPiece> needed = rank.store.needed_pieces();
  const auto loaded = load_newest(context, directory.checkpoints().string(), needed, ReadScope::everything);
  if (loaded) {
    rank.store.adopt_loaded_state(true);
    rank.trainer.restore(progress_of(loaded->state));
  }
  CheckpointWriter writer(directory.checkpoints().string(), training.retention, *files, rank.rank.mesh.world(),
                          *rank.rank.device, rank.execution.communication);
  Log log(LogVoice::silent, LogConsole::plain);
  RunFacts facts;
  facts.mesh = rank.rank.mesh.shape();
  facts.steps = training.steps;
  TrainingRun run({rank.rank.mesh, rank.execution, *files, log, stop, rank.trainer, rank.store, writer},
                  {.steps = training.steps,
                   .evaluate_every = training.evaluate_every,
                   .checkpoint_every = training.checkpoint_every,
                   .config_text = "[run]\n",
                   .tied = {}},
                  facts, directory);
  return run.run();
}

}  // namespace ferula::test
