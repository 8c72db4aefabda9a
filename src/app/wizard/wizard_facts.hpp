// What the wizard finds out by itself before it asks: GPUs, SLURM's partitions, model folders, texts, an earlier file.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/cluster_profile.hpp"
#include "config/config_template.hpp"
#include "device/gpu_info.hpp"
#include "storage/file_system.hpp"

namespace ferula {

/// A cluster of which there is a profile.
struct KnownCluster {
  std::string word;  // what [slurm] profile says: a name, or a path
  ClusterProfile profile;
};

/// A partition of SLURM as `sinfo` or a profile describes it.
struct Partition {
  std::string name;
  bool is_default = false;
  int nodes = 0;
  int gpus_a_node = 0;
  std::string card{};         // "a5000", as the cluster calls it; empty where it does not say
  std::string time_limit{};   // "1-00:00:00"
  std::string cluster{};      // the word of its KnownCluster; empty: it has no profile
  bool is_elsewhere = false;  // not on this machine: only the profile tells of it

  /// What chooses it: "slurm:defq"; elsewhere "prometheus:defq".
  std::string answer() const { return (is_elsewhere ? cluster : "slurm") + ":" + name; }
};

/// A folder with the `config.json` of a model that Hugging Face's transformers can load, whose shape may be taken; or
/// one with weights of Ferula's own, which may be trained further: an imported model, a run or a checkpoint.
struct ModelFolder {
  std::string path;
  std::string in_words;               // "llama of 32 layers, width 4096"
  std::vector<std::string> settings;  // "model.layers=32", or "model.path=DIR"
  bool has_weights = false;
  std::int64_t ids = 0;  // tokens of a model whose text is their numbers; 0: it reads bytes
};

struct WizardFacts {
  std::string path = "train.toml";  // where the configuration goes
  std::vector<GpuInfo> gpus{};      // of this machine
  int processors = 1;
  std::optional<std::int64_t> host_bytes{};  // that are free on this machine
  bool has_native_bf16 = false;              // this machine's device
  bool slurm_answers = false;                // sinfo has named partitions
  std::vector<Partition> partitions{};
  std::vector<KnownCluster> clusters{};  // those of the partitions
  std::vector<ModelFolder> models{};
  std::vector<std::string> texts{};        // values of data.text, or of data.tokens where they end in .h5
  std::optional<ConfigPreset> earlier{};   // what the file at `path` says already
  std::optional<Config> earlier_config{};  // the same with all values
  std::vector<std::string> notes{};        // what was found but cannot be used, and why
};

/// Looks around in the working folder and on this machine; a command that does not answer within seconds is left out.
/// Throws nothing for what is missing.
WizardFacts discover(const std::string& path, FileSystem& files);

/// The lines of `sinfo --noheader --format="%P|%D|%G|%l"`; a partition of several kinds of nodes counts with the kind
/// that has the most GPUs. Lines of another form are left out.
std::vector<Partition> partitions_in(std::string_view sinfo);

/// The model that the text of a `config.json` describes. DataError says why it is none that this program trains.
ModelFolder model_in(const std::string& path, std::string_view config_json);

/// The model whose weights lie in `path`, of the text of its `config.toml`. ConfigError where that is none.
ModelFolder weights_in(const std::string& path, const std::string& config_toml);

/// Texts and token files in the working folder and its data folders, best first: at most eight.
std::vector<std::string> texts_in(FileSystem& files);

}  // namespace ferula
