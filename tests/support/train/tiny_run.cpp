#include "support/train/tiny_run.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/philox.hpp"
#include "comm/device_transport.hpp"
#include "comm/node_place.hpp"
#include "comm/simulated_transport.hpp"
#include "data/token_file_writer.hpp"

namespace ferula::test {
namespace {

constexpr std::int64_t kLength = 16;

/// Words in an order that a counter decides: structure for a model to learn.
std::string synthetic_text() {
  constexpr std::array<std::string_view, 8> kWords{"alpha ",   "beta ",  "gamma. ", "delta\n",
                                                   "epsilon ", "zeta, ", "eta ",    "theta "};
  std::string text;
  for (std::uint64_t word = 0; word < 6000; ++word) text += kWords[(philox(7, 0, word)[0] >> 8) % kWords.size()];
  return text;
}

TransformerSpec tiny_spec_of(const TinyRun& run) {
  TransformerSpec spec;
  spec.family = model_family(run.family);
  spec.layers = run.model.layers;
  spec.width = run.model.width;
  spec.heads = 4;
  spec.kv_heads = run.family == "llama" ? 2 : 4;
  spec.head_dim = run.model.width / spec.heads;
  spec.ffn_width = run.model.ffn_width;
  spec.context = kLength;
  spec.vocabulary = run.model.vocabulary;
  spec.tokens = 256;
  spec.tied = run.model.tied.value_or(run.family == "gpt2");
  spec.dropout = run.dropout;
  spec.init_std = 0.08f;
  return spec;
}

ModelSpec table_of(const TransformerSpec& spec, const TinyRun& run) {
  ModelSpec table = parameter_table(spec, run.compute);
  freeze(table, run.model.frozen);
  return table;
}

LearningRate learning_rate_of() {
  SchedulerConfig scheduler;
  scheduler.type = "constant";
  OptimizerConfig optimizer;
  optimizer.params.lr = 3e-3;
  return {scheduler, optimizer};
}

BatchShape batch_shape_of(const TinyRun& run, Mesh& mesh) {
  return {.micro_batch = run.batch / (mesh.size() * run.accumulation),
          .accumulation = run.accumulation,
          .data_rank = mesh.rank(),
          .data_ranks = mesh.size()};
}

std::unique_ptr<Stream> side_of(const TinyRun& run, Device& device) {
  return run.overlap == Overlap::on ? device.make_side_stream("communication") : device.make_stream();
}

}  // namespace

TinyCorpus::TinyCorpus(std::int64_t sequence_length) : files_(make_posix_file_system()) {
  const std::vector<std::string> patterns{scratch_.write("text.txt", synthetic_text())};
  const std::string tokens = scratch_.path("tokens.h5");
  const auto tokenizer = make_tokenizer("bytes");
  write_token_file(*files_, tokens, survey_text(*files_, patterns, *tokenizer), *tokenizer, "test");
  file_ = std::make_unique<TokenFile>(*files_, tokens);
  dataset_ = std::make_unique<TokenDataset>(*file_, sequence_length, 0.02);
}

const TokenDataset& tiny_dataset() {
  static const TinyCorpus corpus(16);
  return corpus.dataset();
}

StoreSettings settings_of(const TinyRun& run) {
  return {.rule = run.rule,
          .weight_decay = 0.1f,
          .prefetch_elements = run.prefetch_elements,
          .persistence_threshold = run.persistence_threshold,
          .stage = run.stage,
          .reduction = run.reduction,
          .offload = run.offload};
}

std::string name_of_run(const TinyRun& run) {
  return fmt::format("{} {} stage {} replica {} shard {} accumulation {}{}{}{}{}{}", run.family, name_of(run.compute),
                     run.stage, run.shape.replica, run.shape.shard, run.accumulation,
                     run.overlap == Overlap::on ? " overlapped" : "", run.staged_bytes > 0 ? " staged" : "",
                     run.common == CommonMemory::of_groups ? " in common memory" : "",
                     run.reduction == GradientReduction::once_a_step ? " reduced once" : "",
                     run.offload.tier == Tier::host ? " offloaded" : "");
}

TinyRank::TinyRank(RankParts& parts, const TinyRun& run, const TokenDataset& dataset)
    : side(side_of(run, *parts.device)),
      execution{*parts.device, *parts.ops, *parts.compute, *side, parts.phases},
      spec(tiny_spec_of(run)),
      store(table_of(spec, run), settings_of(run), parts.mesh, execution),
      transformer(spec, store, execution,
                  {.compute = run.compute, .rows = batch_shape_of(run, parts.mesh).micro_batch * kLength, .seed = 5}),
      loader(dataset, 5, batch_shape_of(run, parts.mesh), *parts.device, *parts.compute),
      learning_rate(learning_rate_of()),
      trainer({parts.mesh, execution, store, transformer, loader, learning_rate}, 1.0),
      rank(parts) {
  store.initialize(5);
}

void on_tiny_ranks(const TinyRun& run, const TokenDataset& dataset, const std::function<void(TinyRank&)>& body) {
  const auto as_rank = [&](std::unique_ptr<Mesh::Transport> transport) {
    const StagedOptions staged{.chunk_bytes = run.staged_bytes, .message_chunk_bytes = run.staged_bytes};
    if (run.staged_bytes > 0) transport = make_device_transport(std::move(transport), {.staged = staged});
    RankParts parts(std::move(transport), run.shape, run.make_ops, run.make_device);
    set_compute_threads(1);
    parts.compute->run([] { set_compute_threads(1); });  // where the stream has a thread of its own
    TinyRank rank(parts, run, dataset);
    body(rank);
    parts.compute->synchronize();  // what the last step began still works on what the rank owns
    rank.side->synchronize();
  };
  run_simulated_ranks(run.shape.ranks(), as_rank, run.common);
}

double norm_with_planted_error(TinyRank& rank, const StepPlace& place, float factor) {
  rank.store.zero_gradients();
  const TokenBatch& batch = rank.loader.training(place, 0);
  rank.transformer.forward(batch, 0);
  rank.transformer.backward(batch, 0, 1.0f / static_cast<float>(rank.loader.targets_per_step()));
  const UnitLease unit = rank.store.gradient(0);
  const TensorView tensor = unit.tensor(0);  // the token embedding
  for (float& value : tensor.range(0, tensor.count()).span<float>()) value *= factor;
  rank.store.finish_gradients();
  return rank.store.gradient_norm();
}

Curve curve_of(const TinyRun& run, const TokenDataset& dataset, const std::function<void(TinyRank&)>& prepare) {
  std::vector<Curve> curves(static_cast<std::size_t>(run.shape.ranks()));
  on_tiny_ranks(run, dataset, [&](TinyRank& rank) {
    Curve& curve = curves[static_cast<std::size_t>(rank.rank.mesh.rank())];
    if (prepare) prepare(rank);
    for (std::int64_t step = 0; step < run.steps; ++step) {
      const StepResult result = rank.trainer.step();
      curve.losses.push_back(result.loss);
      curve.norms.push_back(result.gradient_norm);
    }
    curve.validation_loss = rank.trainer.validation_loss().value();
  });
  for (const Curve& curve : curves) {
    EXPECT_EQ(curve.losses, curves[0].losses) << name_of_run(run);
    EXPECT_EQ(curve.norms, curves[0].norms) << name_of_run(run);
    EXPECT_EQ(curve.validation_loss, curves[0].validation_loss) << name_of_run(run);
  }
  return curves[0];
}

double worst_relative(const std::vector<double>& a, const std::vector<double>& b) {
  double worst = a.size() == b.size() ? 0.0 : INFINITY;
  for (std::size_t index = 0; index < std::min(a.size(), b.size()); ++index)
    worst = std::max(worst, std::abs(a[index] - b[index]) / std::abs(b[index]));
  return worst;
}

}  // namespace ferula::test
