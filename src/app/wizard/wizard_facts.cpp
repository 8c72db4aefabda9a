#include "app/wizard/wizard_facts.hpp"

#include <boost/json.hpp>

#include <algorithm>
#include <array>
#include <charconv>

#include "app/compute_backend.hpp"
#include "app/wizard/wizard_cluster.hpp"
#include "comm/node_place.hpp"
#include "config/config_text.hpp"
#include "config/load_config.hpp"
#include "config/setting_value.hpp"
#include "config/toml_guard.hpp"
#include "device/host_memory.hpp"

namespace ferula {
namespace {

namespace json = boost::json;

constexpr std::size_t kMostFound = 8;
constexpr std::int64_t kLongestSample = 1024;
constexpr std::int64_t kMostModelBytes = 1 << 20;
constexpr std::string_view kRuns = "runs";
constexpr std::string_view kFineTuningRate = "2e-5";  // far below that of new weights, which would undo what is learned

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(separator, at), text.size());
    parts.emplace_back(text.substr(at, end - at));
    at = end + 1;
  }
  return parts;
}

int integer_of(const std::string& text) {
  int value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  return parsed.ec == std::errc() && value > 0 ? value : 0;
}

/// "gpu:a5000:8(S:0-1)" or "gpu:8" into card and number.
void read_gres(const std::string& gres, Partition& partition) {
  for (const std::string& each : split(gres, ',')) {
    const std::vector<std::string> parts = split(each.substr(0, each.find('(')), ':');
    if (parts.front() != "gpu" || parts.size() < 2) continue;
    const int gpus = integer_of(parts.back());
    if (gpus <= partition.gpus_a_node) continue;
    partition.gpus_a_node = gpus;
    partition.card = parts.size() > 2 ? parts[1] : "";
  }
}

/// A size in a `config.json` under the first of its names. DataError where it is no positive integer.
std::int64_t size_in(const json::object& model, const std::string& path,
                     std::initializer_list<std::string_view> names) {
  for (const std::string_view name : names) {
    const json::value* value = model.if_contains(name);
    if (value == nullptr || value->is_null()) continue;
    if (value->is_int64() && value->get_int64() > 0) return value->get_int64();
    throw DataError(
        fmt::format("{}: expected a positive integer as {}, found {}", path, name, json::serialize(*value)));
  }
  throw DataError(fmt::format("{}: expected {}, found none", path, fmt::join(names, " or ")));
}

using Names = std::initializer_list<std::string_view>;

ModelFolder described(const std::string& path, const json::object& model, const std::string& family) {
  ModelFolder found{.path = path, .in_words = "", .settings = {"model.family=" + family}};
  const auto set = [&](std::string_view key, Names names) {
    const std::int64_t size = size_in(model, path, names);
    found.settings.push_back(fmt::format("model.{}={}", key, size));
    return size;
  };
  const auto set_if_there = [&](std::string_view key, Names names) {
    for (const std::string_view name : names)
      if (const json::value* value = model.if_contains(name); value != nullptr && !value->is_null()) set(key, {name});
  };
  const std::int64_t layers = set("layers", {"num_hidden_layers", "n_layer"});
  const std::int64_t width = set("width", {"hidden_size", "n_embd"});
  set("heads", {"num_attention_heads", "n_head"});
  const std::int64_t context = set("context", {"max_position_embeddings", "n_positions", "n_ctx"});
  set("vocabulary", {"vocab_size"});
  set_if_there("kv_heads", {"num_key_value_heads"});
  set_if_there("ffn_width", {"intermediate_size", "n_inner"});
  set_if_there("head_dim", {"head_dim"});
  if (const json::value* tied = model.if_contains("tie_word_embeddings"); tied != nullptr && tied->is_bool())
    found.settings.push_back(fmt::format("model.tied_embeddings={}", tied->get_bool()));
  found.settings.push_back(fmt::format("data.sequence_length={}", std::min(context, kLongestSample)));
  found.in_words = fmt::format("{} of {} layers, width {}", family, layers, width);
  return found;
}

/// Nothing where the folder holds no model.
std::optional<ModelFolder> model_at(FileSystem& files, const std::string& path) {
  const std::string published = join_path(path, "config.json"), own = join_path(path, "config.toml");
  const bool has_weights = files.exists(join_path(path, "MANIFEST.json")) ||
                           files.exists(join_path(join_path(path, "checkpoints"), "latest"));
  if (has_weights && files.exists(own)) return weights_in(path, read_file(files, own, kMostModelBytes));
  if (!files.exists(published)) return std::nullopt;
  return model_in(path, read_file(files, published, kMostModelBytes));
}

void find_models(FileSystem& files, const std::string& folder, WizardFacts& facts) {
  if (!files.is_directory(folder)) return;
  for (const std::string& name : files.list(folder)) {
    const std::string path = folder == "." ? name : join_path(folder, name);
    if (facts.models.size() >= kMostFound || name.starts_with(".") || !files.is_directory(path)) continue;
    try {
      if (auto found = model_at(files, path)) facts.models.push_back(*std::move(found));
    } catch (const Error& error) {
      if (folder != kRuns) facts.notes.push_back(fmt::format("not used: {}", error.what()));  // of old runs: no news
    }
  }
}

void find_gpus(WizardFacts& facts) {
  const std::unique_ptr<ComputeBackend> compute = choose_compute(RunConfig{});
  facts.has_native_bf16 = compute->computes_bf16();
  for (int rank = 0; const GpuInfo* gpu = compute->gpu_of({.rank_on_node = rank}); ++rank) {
    if (!facts.gpus.empty() && gpu->index == facts.gpus.front().index) break;
    facts.gpus.push_back(*gpu);
  }
}

void find_earlier(FileSystem& files, WizardFacts& facts) {
  if (!files.exists(facts.path)) return;
  try {
    const LoadedConfig loaded = load_config(facts.path, {}, {});
    facts.earlier = preset_of(loaded, facts.path);
    facts.earlier_config = loaded.config;
  } catch (const ConfigError&) {
    facts.notes.push_back(
        fmt::format("{} is there and cannot be used (`ferula config check {}` says why): the questions begin anew",
                    facts.path, facts.path));
  }
}

void add_names_like(FileSystem& files, const std::string& folder, std::string_view ending,
                    std::vector<std::string>& texts) {
  std::vector<std::string> found;
  for (const std::string& name : files.list(folder))
    if (name.ends_with(ending) && !name.starts_with(".")) found.push_back(name);
  if (found.empty()) return;
  const std::string name = found.size() == 1 ? found.front() : fmt::format("*{}", ending);
  texts.push_back(folder == "." ? name : join_path(folder, name));
}

}  // namespace

std::vector<Partition> partitions_in(std::string_view sinfo) {
  std::vector<Partition> partitions;
  for (const std::string& line : split(sinfo, '\n')) {
    const std::vector<std::string> fields = split(line, '|');
    if (fields.size() != 4 || fields.front().empty() || refuse_toml(line)) continue;
    Partition found{.name = fields[0], .nodes = integer_of(fields[1]), .time_limit = fields[3]};
    found.is_default = found.name.ends_with('*');
    if (found.is_default) found.name.pop_back();
    read_gres(fields[2], found);
    const auto known = std::find_if(partitions.begin(), partitions.end(),
                                    [&](const Partition& each) { return each.name == found.name; });
    if (known == partitions.end())
      partitions.push_back(std::move(found));
    else if (found.gpus_a_node > known->gpus_a_node)
      *known = std::move(found);
  }
  return partitions;
}

ModelFolder model_in(const std::string& path, std::string_view config_json) {
  boost::system::error_code error;
  const json::value document = json::parse({config_json.data(), config_json.size()}, error);
  if (error || !document.is_object()) throw DataError(fmt::format("{}/config.json: expected a JSON object", path));
  const json::object& model = document.get_object();
  const json::value* type = model.if_contains("model_type");
  const std::string family = type != nullptr && type->is_string() ? std::string(type->get_string()) : "no model_type";
  if (family != "gpt2" && family != "llama")
    throw DataError(fmt::format("{}/config.json: this version trains gpt2 and llama, found {}", path, family));
  return described(path, model, family);
}

ModelFolder weights_in(const std::string& path, const std::string& config_toml) {
  const std::array<std::string, 1> sets{"model.path="};  // what it began from itself may be gone
  const Config config = load_config_text(config_toml, path, {}, sets, ConfigUse::inference).config;
  const ModelConfig& model = config.model;
  return {.path = path,
          .in_words = fmt::format("{} of {} layers, width {}", model.family, model.layers, model.width),
          .settings = {"model.path=" + toml_quoted(path),
                       fmt::format("data.sequence_length={}", std::min(model.context, kLongestSample)),
                       fmt::format("optimizer.params.lr={}", kFineTuningRate)},
          .has_weights = true,
          .ids = config.data.tokenizer == "ids" ? model.vocabulary.value.value_or(0) : 0};
}

std::vector<std::string> texts_in(FileSystem& files) {
  std::vector<std::string> texts;
  for (const std::string& name : files.list("."))
    if (name.ends_with(".h5")) texts.push_back(name);
  for (const std::string_view folder : {"data", "corpus", "text", "texts"})
    if (files.is_directory(std::string(folder))) {
      add_names_like(files, std::string(folder), ".h5", texts);
      add_names_like(files, std::string(folder), ".txt", texts);
    }
  add_names_like(files, ".", ".txt", texts);
  add_names_like(files, ".", ".md", texts);
  add_names_like(files, ".", ".ids", texts);
  std::erase_if(texts, [](const std::string& name) { return refuse_toml(name).has_value(); });
  texts.resize(std::min(texts.size(), kMostFound));
  return texts;
}

WizardFacts discover(const std::string& path, FileSystem& files) {
  WizardFacts facts{.path = path};
  facts.processors = static_cast<int>(allowed_cpus().count());
  facts.host_bytes = available_host_memory();
  find_gpus(facts);
  for (const std::string_view folder : {std::string_view("."), std::string_view("models"), kRuns})
    find_models(files, std::string(folder), facts);
  facts.texts = texts_in(files);
  find_earlier(files, facts);
  find_cluster(facts);
  return facts;
}

}  // namespace ferula
