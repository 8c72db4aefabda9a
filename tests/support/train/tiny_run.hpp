// Whole training runs of tiny models on simulated ranks: what the tests of layouts, resumes and oracles compare.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "comm/simulated_transport.hpp"
#include "data/token_dataset.hpp"
#include "params/parameter_store.hpp"
#include "support/rank_parts.hpp"
#include "support/scratch_directory.hpp"
#include "train/trainer.hpp"

namespace ferula::test {

/// Synthetic text as a token file in a folder that disappears with it. Reads are safe from several ranks.
class TinyCorpus {
 public:
  explicit TinyCorpus(std::int64_t sequence_length);
  const TokenDataset& dataset() const { return *dataset_; }

 private:
  ScratchDirectory scratch_;
  std::unique_ptr<FileSystem> files_;
  std::unique_ptr<TokenFile> file_;
  std::unique_ptr<TokenDataset> dataset_;
};

/// The sequences of 16 bytes that most runs read, made at the first call.
const TokenDataset& tiny_dataset();

enum class Overlap : unsigned char { off, on };

/// The sizes of a run's model. Tokens are bytes: a larger vocabulary is padding.
struct TinyModel {
  std::int64_t layers = 3;
  std::int64_t width = 32;
  std::int64_t ffn_width = 72;
  std::int64_t vocabulary = 256;
  std::optional<bool> tied = {};         // without: as its family usually is
  std::vector<std::string> frozen = {};  // globs of tensors that are not trained
};

/// A layout and everything else that makes a run. The global batch is `batch` sequences of 16 bytes whatever the
/// layout.
struct TinyRun {
  std::string family = "gpt2";
  DType compute = DType::f32;
  int stage = 0;
  MeshShape shape = {};
  std::int64_t accumulation = 1;
  std::int64_t steps = 50;
  Overlap overlap = Overlap::off;
  CommonMemory common = CommonMemory::none;
  std::int64_t staged_bytes = 0;  // collectives pass through memory of this size, as those of GPUs do; 0: they do not
  GradientReduction reduction = GradientReduction::each_micro_batch;
  OptimizerOffload offload = {};
  std::int64_t persistence_threshold = 0;
  std::int64_t prefetch_elements = 50'000'000;
  float dropout = 0.0f;
  OptimizerRule rule{.beta2 = 0.95};
  std::unique_ptr<Ops> (*make_ops)(Device&) = make_cpu_ops;
  std::unique_ptr<Device> (*make_device)(MemoryLedger&) = make_cpu_device;
  std::int64_t batch = 48;
  TinyModel model = {};
};

/// The run with the optimizer's state on the host, in chunks that cut through tensors.
inline TinyRun offloaded(TinyRun run) {
  run.offload = {.tier = Tier::host, .chunk_elements = 192};
  return run;
}

std::string name_of_run(const TinyRun& run);

StoreSettings settings_of(const TinyRun& run);

/// One rank of a run: what a test may look at or change between steps.
struct TinyRank {
  TinyRank(RankParts& rank, const TinyRun& run, const TokenDataset& dataset);

  std::unique_ptr<Stream> side;
  Execution execution;
  TransformerSpec spec;
  ParameterStore store;
  Transformer transformer;
  BatchLoader loader;
  LearningRate learning_rate;
  Trainer trainer;
  RankParts& rank;
};

/// Runs `body` on every rank of the run's layout, each with one thread.
void on_tiny_ranks(const TinyRun& run, const TokenDataset& dataset, const std::function<void(TinyRank&)>& body);

/// The gradient norm of one step of a single micro batch, done by hand up to the update, with the gradient of one
/// tensor multiplied by `factor` before the sums over ranks. Collective.
double norm_with_planted_error(TinyRank& rank, const StepPlace& place, float factor);

/// Loss and gradient norm of each step, and the validation loss at the end.
struct Curve {
  std::vector<double> losses;
  std::vector<double> norms;
  double validation_loss = 0.0;
};

/// The curve of a run on rank 0; all ranks' curves are asserted to be the same, bit for bit.
/// `prepare` is called on each rank before the first step.
Curve curve_of(const TinyRun& run, const TokenDataset& dataset, const std::function<void(TinyRank&)>& prepare = {});

/// max |a − b| / |b|.
double worst_relative(const std::vector<double>& a, const std::vector<double>& b);

}  // namespace ferula::test
