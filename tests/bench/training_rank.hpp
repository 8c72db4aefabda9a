// One rank that trains a GPT-2 or Llama of any size on random tokens: what the step benchmark times.
#pragma once

#include <memory>
#include <string>

#include "arguments.hpp"
#include "data/token_dataset.hpp"
#include "storage/file_system.hpp"
#include "support/scratch_directory.hpp"
#include "timed_ops.hpp"
#include "train/trainer.hpp"

namespace ferula::bench {

enum class Timing : std::uint8_t { steps, operations };

/// The model and batch that a step is measured with.
struct StepShape {
  TransformerSpec spec;
  DType compute = DType::bf16;
  int stage = 0;
  std::int64_t batch = 4;    // sequences of one rank
  std::int64_t length = 64;  // tokens of a sequence
  Timing timing = Timing::steps;
};

/// family, layers, width, heads, kv_heads, ffn_width, context, vocabulary, dtype, stage, batch and length of the
/// command line; GPT-2 124M without.
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
  /// Reads the batch of that step, as the step itself does.
  void read_batch(std::int64_t step);
  /// Sums over all ranks; called by all of them.
  double sum(double value) { return agree_sum(mesh_->world(), *communication_, value); }
  const PhaseTimes& phases() const { return phases_; }
  std::int64_t parameters() const { return parameter_count(store_->model()); }
  /// 6 N + 12 · layers · width · sequence for each token of this rank.
  double flops_per_step() const { return flops_per_step_; }
  /// Where operations are timed.
  TimedOps& timed_ops() { return *timed_ops_; }
  bool is_first() const { return mesh_->rank() == 0; }

 private:
  double flops_per_step_ = 0;
  MemoryLedger ledger_;
  PhaseTimes phases_;
  std::unique_ptr<Device> device_;
  std::unique_ptr<Ops> ops_;
  TimedOps* timed_ops_ = nullptr;  // `ops_`, where operations are timed
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
