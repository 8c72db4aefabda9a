#include "app/checkpoint_import.hpp"

#include <filesystem>

#include "app/model_setup.hpp"
#include "base/human.hpp"
#include "base/output.hpp"
#include "checkpoint/import_weights.hpp"
#include "config/config_text.hpp"
#include "interchange/hugging_face_model.hpp"
#include "model/parameter_table.hpp"

namespace ferula {
namespace {

constexpr std::int64_t kMostConfigBytes = 1 << 20;
constexpr std::int64_t kLongestWindow = 1024;  // of `evaluate`, and of a run that gives no other length

PublishedModel published_model(FileSystem& files, const std::string& folder) {
  if (!files.is_directory(folder))
    throw DataError(
        fmt::format("{}: expected the folder of a model, with config.json and safetensors, found {}; download it with "
                    "`hf download NAME --local-dir {}`",
                    folder, files.exists(folder) ? "a file" : "nothing", folder));
  const std::string path = join_path(folder, "config.json");
  if (!files.exists(path))
    throw DataError(fmt::format(
        "{}: expected config.json beside the weights, found none; give the folder of a whole model", folder));
  return read_published_model(read_file(files, path, kMostConfigBytes), path);
}

DType dtype_of_import(const CommandLine& line, const std::vector<TensorFilling>& fillings) {
  const std::string word = line.text(kImportDType.name).value_or("");
  if (word.empty()) return exact_dtype(fillings);
  if (word != "f32" && word != "bf16")
    throw ConfigError(fmt::format("--dtype: expected f32 or bf16, found '{}'", word));
  return dtype_named(word);
}

std::vector<ParamSpec> tensors_of(const TransformerSpec& spec, DType dtype) {
  std::vector<ParamSpec> tensors;
  for (const UnitSpec& unit : parameter_table(spec, dtype))
    tensors.insert(tensors.end(), unit.params.begin(), unit.params.end());
  return tensors;
}

/// The configuration of the model, which must be one that this program can read again.
Config config_of(const ModelConfig& model, const std::string& target, DType dtype) {
  Config config;
  config.run.name = std::filesystem::path(target).lexically_normal().filename().string();
  config.model = model;
  config.data.tokenizer = "ids";
  config.data.sequence_length = std::min(kLongestWindow, model.context);
  config.bf16.enabled = dtype == DType::bf16;
  load_config_text(to_toml(config), target, {}, {}, ConfigUse::inference);
  return config;
}

std::string without_slash(const std::string& path) {
  const std::size_t last = path.find_last_not_of('/');
  return last == std::string::npos ? path.substr(0, 1) : path.substr(0, last + 1);
}

}  // namespace

ExitCode import_checkpoint(const CommandLine& line, FileSystem& files) {
  constexpr std::string_view kWhat =
      "the folder of a model and a new one, e.g. `ferula checkpoint import gpt2 imported`";
  const std::string source = without_slash(line.positional(1, kWhat)),
                    target = without_slash(line.positional(2, kWhat));
  line.expect_at_most(3);
  const PublishedModel published = published_model(files, source);
  const TransformerSpec spec = transformer_spec(published.model, published.model.vocabulary.get());
  const SafetensorsFolder folder(files, source);
  const std::vector<TensorFilling> fillings = fill_table(published.model, tensors_of(spec, DType::f32), folder);
  const DType dtype = dtype_of_import(line, fillings);
  const Config config = config_of(published.model, target, dtype);
  ImportRequest request{.target = target, .dtype = dtype, .save = {}};
  request.save.config_text = to_toml(config);
  request.save.state.notes["imported_from"] = source;
  if (spec.tied) request.save.tied.push_back({"head.weight", "embedding.token.weight"});
  MemoryLedger ledger;
  const std::unique_ptr<Device> device = make_cpu_device(ledger);
  import_weights(files, *device, folder, fillings, request);

  if (!published.unknown_keys.empty())
    fmt::print(stderr, "warning: {}/config.json: without a meaning here: {}\n", source,
               fmt::join(published.unknown_keys, ", "));
  const std::int64_t parameters = parameter_count(parameter_table(spec, dtype));
  print_output(
      "{}: {}, {} parameters in {}, {}\n"
      "  its tokens are ids of its own tokenizer: ferula generate --checkpoint {} --prompt \"1 2 3\"\n"
      "  to train it further: [model] path = \"{}\"\n",
      target, model_in_words(spec), human_count(static_cast<double>(parameters)), name_of(dtype),
      human_bytes(parameters * bytes_of(dtype)), target, target);
  return ExitCode::done;
}

}  // namespace ferula
