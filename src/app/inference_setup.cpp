#include "app/inference_setup.hpp"

#include "app/common_options.hpp"
#include "app/config_match.hpp"
#include "app/model_setup.hpp"
#include "app/plan/inference_forecast.hpp"
#include "checkpoint/checkpoint_folder.hpp"
#include "checkpoint/resume.hpp"
#include "config/resolve_config.hpp"
#include "train/run_directory.hpp"

namespace ferula {
namespace {

ConfigDraft config_of_checkpoint(FileSystem& files, const std::string& checkpoint, const CommandLine& line) {
  const std::string text = load_text(files, checkpoint, load_manifest(files, checkpoint), kConfigName);
  std::vector<std::string> sets{"zero_optimization.shard_size=all", "run.device=auto",
                                "model.path="};  // the writer's, not the reader's
  for (std::string& set : line.all(kSet.name)) sets.push_back(std::move(set));
  return draft_config_text(text, join_path(checkpoint, kConfigName), ferula_environment(), sets, ConfigUse::inference);
}

}  // namespace

InferenceRequest inference_request(const CommandLine& line, const Invocation& invocation) {
  const std::optional<std::string> given = line.text(kCheckpoint.name);
  if (given.has_value() == !line.positionals().empty())
    throw ConfigError("expected either a configuration, whose run has been trained, or --checkpoint DIR");
  line.expect_at_most(1);
  const std::unique_ptr<FileSystem> files = make_posix_file_system();
  InferenceRequest request;
  if (given) request.source = *given;
  ConfigDraft draft = given ? config_of_checkpoint(*files, find_checkpoint(*files, request.source), line)
                            : draft_config(line.positionals().front(), ferula_environment(), line.all(kSet.name));
  request.tokenizer = make_tokenizer(draft.loaded.config);
  request.compute = choose_compute(draft.loaded.config.run);
  request.config = resolve_config(std::move(draft), {.data_parallel_ranks = invocation.ranks,
                                                     .tokenizer_vocabulary = request.tokenizer->vocabulary(),
                                                     .device = device_facts(*request.compute),
                                                     .use = ConfigUse::inference})
                       .config;
  if (given) return request;
  request.source = run_directory(request.config.run).root.string();
  find_checkpoint(*files, request.source);  // none is told before any rank starts
  return request;
}

InferenceModel::InferenceModel(RankContext& context, const InferenceRequest& request, std::int64_t rows)
    : spec(transformer_spec(request.config.model, request.tokenizer->vocabulary())),
      store(model_table(request.config, spec), store_settings(request.config, StoreUse::inference), context.mesh,
            context.execution),
      transformer(spec, store, context.execution, inference_settings(request.config, rows)) {
  const LoadContext load{context.files, context.mesh.world(), context.execution.device,
                         context.execution.communication};
  match_configuration(context, find_checkpoint(context.files, request.source), request.config, StoreUse::inference);
  const std::vector<OwnedPiece> needed = store.needed_pieces();
  const LoadedCheckpoint loaded = load_from(load, request.source, needed, ReadScope::values_only);
  for (const std::string& warning : loaded.warnings) context.log.warning(warning);
  checkpoint = loaded.checkpoint;
  store.adopt_loaded_state(false);
}

ExitCode run_with_model(const Invocation& invocation, const InferenceRequest& request, std::int64_t rows,
                        const std::function<ExitCode(RankContext&, InferenceModel&)>& body) {
  const RankSettings ranks{.shape = mesh_shape(request.config.zero_optimization, invocation.ranks),
                           .mesh = mesh_options(request.config.debug),
                           .overlap = Overlap::off,
                           .compute = request.compute.get(),
                           .sharing = request.config.run.share_gpu ? GpuSharing::allowed : GpuSharing::refused,
                           .memory_remedy = "More ranks (--ranks) at --set zero_optimization.stage=3 need less a rank"};
  return run_on_ranks(invocation, ranks, [&](RankContext& context) {
    InferenceModel model(context, request, rows);
    return body(context, model);
  });
}

}  // namespace ferula
