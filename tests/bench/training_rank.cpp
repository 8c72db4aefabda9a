#include "training_rank.hpp"

#include "base/philox.hpp"
#include "comm/node_place.hpp"
#include "data/token_file_writer.hpp"
#include "model/flops.hpp"

namespace ferula::bench {
namespace {

constexpr std::uint64_t kSeed = 1;
constexpr std::int64_t kCorpusTokens = 400'000;

/// Two bytes are one token, so that a text file can hold any vocabulary.
class PairTokenizer final : public Tokenizer {
 public:
  explicit PairTokenizer(std::int64_t vocabulary) : vocabulary_(vocabulary) {}
  std::string name() const override { return "pairs"; }
  std::int64_t vocabulary() const override { return vocabulary_; }

  void encode(std::string_view text, std::vector<std::int32_t>& tokens) const override {
    for (std::size_t at = 0; at + 1 < text.size(); at += 2) {
      const std::int64_t pair = 256 * static_cast<unsigned char>(text[at]) + static_cast<unsigned char>(text[at + 1]);
      tokens.push_back(static_cast<std::int32_t>(pair % vocabulary_));
    }
  }
  std::string decode(std::span<const std::int32_t>) const override { return {}; }

 private:
  std::int64_t vocabulary_;
};

/// Bytes from 1 to 255: text has no zero byte.
std::string random_bytes(std::int64_t count) {
  std::string text(static_cast<std::size_t>(count), '\1');
  for (std::size_t at = 0; at < text.size(); ++at)
    text[at] = static_cast<char>(1 + (philox(kSeed, 0, at)[0] >> 8) % 255);
  return text;
}

LearningRate constant_rate() {
  SchedulerConfig scheduler;
  OptimizerConfig optimizer;
  optimizer.params.lr = 1e-4;
  return {scheduler, optimizer};
}

}  // namespace

StepShape step_shape(const Arguments& arguments) {
  StepShape shape;
  TransformerSpec& spec = shape.spec;
  spec.family = model_family(arguments.word("family", "gpt2"));
  spec.layers = arguments.number("layers", 12);
  spec.width = arguments.number("width", 768);
  spec.heads = arguments.number("heads", 12);
  spec.kv_heads = arguments.number("kv_heads", spec.heads);
  spec.head_dim = spec.width / spec.heads;
  spec.ffn_width = arguments.number("ffn_width", 4 * spec.width);
  spec.context = arguments.number("context", 1024);
  spec.vocabulary = spec.tokens = arguments.number("vocabulary", 50304);
  shape.compute = arguments.word("dtype", "bf16") == "bf16" ? DType::bf16 : DType::f32;
  shape.stage = static_cast<int>(arguments.number("stage", 0));
  shape.batch = arguments.number("batch", 4);
  shape.length = arguments.number("length", 64);
  return shape;
}

RandomCorpus::RandomCorpus(std::int64_t tokens, std::int64_t vocabulary, std::int64_t sequence_length)
    : files_(make_posix_file_system()) {
  const std::vector<std::string> patterns{scratch_.write("text", random_bytes(2 * tokens))};
  const std::string path = scratch_.path("tokens.h5");
  const PairTokenizer tokenizer(vocabulary);
  write_token_file(*files_, path, survey_text(*files_, patterns, tokenizer), tokenizer, "bench");
  file_ = std::make_unique<TokenFile>(*files_, path);
  dataset_ = std::make_unique<TokenDataset>(*file_, sequence_length, 0.0);
}

void TrainingRank::read_batch(std::int64_t step) {
  loader_->training({.step = step, .samples_seen = step * loader_->shape().samples_per_step()}, 0);
  compute_->synchronize();
}

TrainingRank::TrainingRank(std::unique_ptr<Mesh::Transport> transport, const StepShape& shape, int threads)
    : device_(make_cpu_device(ledger_)), compute_(device_->make_stream()) {
  set_compute_threads(threads);
  ops_ = make_cpu_ops(*device_);
  if (shape.timing == Timing::operations) {
    auto timed = std::make_unique<TimedOps>(std::move(ops_));
    timed_ops_ = timed.get();
    ops_ = std::move(timed);
  }
  flops_per_step_ =
      training_flops_per_token(shape.spec, shape.length) * static_cast<double>(shape.batch * shape.length);
  const int ranks = transport->size();
  mesh_ = std::make_unique<Mesh>(std::move(transport), MeshShape{.shard = ranks}, *device_);
  communication_ = ranks > 1 ? device_->make_side_stream("communication") : device_->make_stream();
  communication_->run([] { set_compute_threads(1); });
  if (ranks == 1) set_compute_threads(threads);
  execution_ = std::make_unique<Execution>(Execution{*device_, *ops_, *compute_, *communication_, phases_});
  corpus_ = std::make_unique<RandomCorpus>(kCorpusTokens, shape.spec.vocabulary, shape.length);
  StoreSettings settings{.rule = {.beta2 = 0.95f}, .weight_decay = 0.1f, .stage = shape.stage};
  store_ = std::make_unique<ParameterStore>(parameter_table(shape.spec, shape.compute), settings, *mesh_, *execution_);
  transformer_ = std::make_unique<Transformer>(
      shape.spec, *store_, *execution_,
      TransformerSettings{.compute = shape.compute, .rows = shape.batch * shape.length, .seed = kSeed});
  const BatchShape batch{.micro_batch = shape.batch, .data_rank = mesh_->data().rank(), .data_ranks = ranks};
  loader_ = std::make_unique<BatchLoader>(corpus_->dataset(), kSeed, batch, *device_, *compute_);
  learning_rate_ = std::make_unique<LearningRate>(constant_rate());
  trainer_ = std::make_unique<Trainer>(
      Trainer::Parts{*mesh_, *execution_, *store_, *transformer_, *loader_, *learning_rate_}, 1.0);
  store_->initialize(kSeed);
}

}  // namespace ferula::bench
