// The training probe: steps of a small GPT-2 at stage 0 on all ranks, beside the ceilings that the other probes find.
#include <deque>

#include "app/bench_probes.hpp"
#include "app/plan/step_simulation.hpp"
#include "base/narrow.hpp"
#include "model/flops.hpp"
#include "schedule/runner.hpp"

namespace ferula {
namespace {

/// A model and a batch that keep a device busy for some tenths of a second.
struct ProbedModel {
  TransformerSpec spec;
  std::int64_t sequences = 2;
  std::int64_t length = 128;

  std::int64_t rows() const { return sequences * length; }
};

ProbedModel probed_model(DeviceKind device) {
  const bool on_gpu = device == DeviceKind::cuda;
  TransformerSpec spec{.family = model_family("gpt2"),
                       .layers = on_gpu ? 12 : 4,
                       .width = on_gpu ? 768 : 512,
                       .heads = on_gpu ? 12 : 8,
                       .kv_heads = on_gpu ? 12 : 8,
                       .head_dim = 64,
                       .context = 1024,
                       .vocabulary = on_gpu ? 50304 : 8192};
  spec.ffn_width = 4 * spec.width;
  spec.tokens = spec.vocabulary;
  if (on_gpu) return {.spec = spec, .sequences = 16, .length = 1024};
  return {.spec = spec};
}

/// One batch of tokens, trained on again and again.
class TrainingProbe {
 public:
  TrainingProbe(RankContext& context, const ProbedModel& model, DType compute)
      : execution_(&context.execution),
        store_(parameter_table(model.spec, compute), StoreSettings{}, context.mesh, context.execution),
        transformer_(model.spec, store_, context.execution, {.compute = compute, .rows = model.rows(), .seed = 1}),
        runner_(transformer_, store_, context.mesh.pipeline(), context.execution),
        batch_{
            .token = filled(DType::i32, model.rows(), [&](std::int64_t row) { return row % model.spec.tokens; }),
            .position = filled(DType::i32, model.rows(), [&](std::int64_t row) { return row % model.length; }),
            .target = filled(DType::i32, model.rows(), [&](std::int64_t row) { return (row + 1) % model.spec.tokens; }),
            .sample = filled(DType::i64, model.rows(), [&](std::int64_t row) { return row / model.length; }),
            .starts = filled(DType::i32, model.sequences + 1, [&](std::int64_t place) { return place * model.length; }),
            .kv_block = {},
            .step = filled(DType::i64, 1, [](std::int64_t) { return 1; }),
            .rows = model.rows(),
            .targets = model.rows()},
        loss_scale_(static_cast<float>(1.0 / static_cast<double>(model.rows() * context.mesh.size()))) {
    store_.initialize(1);
  }

  void step() {
    runner_.run(
        training_schedule(0, 1, 1),
        {.batch = [this](std::int64_t) { return batch_; }, .update = [this] { update(); }, .loss_scale = loss_scale_});
    execution_->compute.synchronize();
  }
  void update() {
    store_.gradient_norm();
    store_.update({.learning_rate = 1e-5, .gradient_scale = 1.0, .step = ++steps_});
    execution_->compute.synchronize();
  }
  double parameters() const { return static_cast<double>(parameter_count(store_.model())); }

 private:
  template <class Value>
  TensorView filled(DType dtype, std::int64_t count, const Value& value) {
    const Buffer& memory =
        memory_.emplace_back(execution_->device.allocate_shared(bytes_of(dtype, count), MemoryKind::buffers));
    const TensorView view = memory.flat(dtype);
    for (std::int64_t at = 0; at < count; ++at) {
      const auto index = static_cast<std::size_t>(at);
      if (dtype == DType::i32) {
        view.span<std::int32_t>()[index] = narrow<std::int32_t>(value(at));
      } else {
        view.span<std::int64_t>()[index] = value(at);
      }
    }
    return view;
  }

  Execution* execution_;
  ParameterStore store_;
  Transformer transformer_;
  Runner runner_;
  std::deque<Buffer> memory_;
  TokenBatch batch_;
  float loss_scale_;
  std::int64_t steps_ = 0;
};

}  // namespace

std::vector<ProbeResult> probe_training(RankContext& context, const ProbeSettings& settings) {
  const ProbedModel model = probed_model(context.execution.device.kind());
  const DType compute = context.compute.computes_bf16() ? DType::bf16 : DType::f32;
  TrainingProbe probe(context, model, compute);
  const auto ranks = static_cast<double>(context.mesh.size());
  const double flops = training_flops_per_token(model.spec, model.length) * static_cast<double>(model.rows());
  ProbeResult step = measured(context, settings,
                              {.group = "training",
                               .name = fmt::format("GPT-2 step {}", name_of(compute)),
                               .unit = "GFLOP/s",
                               .rates = {},
                               .ceiling = fmt::format("matrix product {}", name_of(compute))},
                              flops * ranks, [&] { probe.step(); });
  ProbeResult update =
      measured(context, settings,
               {.group = "training", .name = "optimizer with norm", .unit = "GB/s", .rates = {}, .ceiling = "copy"},
               bytes_of_update(compute) * probe.parameters() * ranks, [&] { probe.update(); });
  return {std::move(step), std::move(update)};
}

}  // namespace ferula
