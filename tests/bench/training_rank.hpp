// One rank that trains a GPT-2 of any size on random tokens: what the step benchmark times.
#pragma once

#include <memory>
#include <string>

#include "arguments.hpp"
#include "data/token_dataset.hpp"
#include "storage/file_system.hpp"
#include "support/scratch_directory.hpp"
#include "train/trainer.hpp"

namespace ferula::bench {

/// The model and batch that a step is measured with.
struct StepShape {
  TransformerSpec spec;
  DType compute = DType::bf16;
  int stage = 0;
  std::int64_t batch = 4;    // sequences of one rank
  std::int64_t length = 64;  // tokens of a sequence
};

/// layers, width, heads, context, vocabulary, dtype, stage, batch and length of the command line; GPT-2 124M without.
StepShape step_shape(const Arguments& arguments);

/// Tokens drawn evenly from the vocabulary, in a token file of a folder that disappears with it.
class RandomCorpus {
 public:
  RandomCorpus(std::int64_t tokens, std::int64_t vocabulary, std::int64_t sequence_length);
  const TokenDataset& dataset() const { return *dataset_; }

 private:
  ScratchDirectory scratch_;
  std::unique_ptr<FileSystem> files_;
  std::unique_ptr<TokenFile> file_;
  std::unique_ptr<TokenDataset> dataset_;
};

/// Everything of one rank, as `ferula train` makes it.
class TrainingRank {
 public:
  TrainingRank(std::unique_ptr<Mesh::Transport> transport, const StepShape& shape, int threads);

  StepResult step() { return trainer_->step(); }
  /// Sums over all ranks; called by all of them.
  double sum(double value) { return agree_sum(mesh_->world(), *communication_, value); }
  const PhaseTimes& phases() const { return phases_; }
  std::int64_t parameters() const { return parameter_count(store_->model()); }
  bool is_first() const { return mesh_->rank() == 0; }

 private:
  MemoryLedger ledger_;
  PhaseTimes phases_;
  std::unique_ptr<Device> device_;
  std::unique_ptr<Ops> ops_;
  std::unique_ptr<Stream> compute_;
  std::unique_ptr<Mesh> mesh_;
  std::unique_ptr<Stream> communication_;
  std::unique_ptr<Execution> execution_;
  std::unique_ptr<RandomCorpus> corpus_;
  std::unique_ptr<ParameterStore> store_;
  std::unique_ptr<Transformer> transformer_;
  std::unique_ptr<BatchLoader> loader_;
  std::unique_ptr<LearningRate> learning_rate_;
  std::unique_ptr<Trainer> trainer_;
};

}  // namespace ferula::bench
