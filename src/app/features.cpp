#include "app/features.hpp"

#include <boost/json.hpp>

#include <algorithm>

#include "app/compute_backend.hpp"
#include "app/gpu_library.hpp"
#include "app/launch/mpirun.hpp"
#include "base/error.hpp"
#include "cluster/run_program.hpp"
#include "comm/launch_environment.hpp"
#include "comm/mpi_environment.hpp"
#include "ops/capabilities.hpp"

namespace ferula {
namespace {

namespace json = boost::json;

constexpr int kNotFound = 127;

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

Feature processors() {
  return {"CPU", true,
          cpu_computes_bf16() ? "oneDNN; bf16 products on instructions of their own"
                              : "oneDNN; bf16 products are computed in f32: this processor has none of bf16"};
}

/// NCCL and the kernels of attention, on the first GPU.
void add_of_gpu(const GpuBackend& backend, std::vector<Feature>& features) {
  MemoryLedger ledger;
  const std::unique_ptr<Device> device = backend.make_device(0, ledger);
  const NcclOpening nccl = backend.make_nccl();
  features.push_back({"NCCL", nccl.api != nullptr,
                      nccl.api ? nccl_version_words(nccl.api->version())
                               : nccl.reason + "; GPUs exchange tensors through the host's memory"});
  const std::string kernels = backend.make_ops(*device, Determinism::fastest)->kernels_in_words();
  features.push_back({"fused attention", !kernels.empty() && kernels.find("our own kernels") == std::string::npos,
                      kernels.empty() ? "this backend has kernels of its own alone" : kernels});
}

/// What choosing GPUs would say, since that is what a run does.
void add_gpus(std::vector<Feature>& features) {
  try {
    RunConfig run;
    run.device = "cuda";
    const std::unique_ptr<ComputeBackend> compute = choose_compute(run);
    features.push_back({"CUDA", true, compute->gpu_of({})->name});
    add_of_gpu(*open_gpu_backend(gpu_library().value()), features);
  } catch (const Error& error) {  // of the first that is missing
    const auto has = [&](std::string_view name) {
      return std::any_of(features.begin(), features.end(), [&](const Feature& each) { return each.name == name; });
    };
    const bool has_gpu = has("CUDA");
    if (!has_gpu) features.push_back({"CUDA", false, error.what()});
    if (!has("NCCL")) features.push_back({"NCCL", false, has_gpu ? error.what() : "it needs a GPU"});
  }
}

Feature launcher() {
  const ProgramOutcome version = run_program({"mpirun", "--version"});
  const std::string problem = mpirun_problem(mpi_library());
  if (version.code == kNotFound)
    return {"--ranks", false, "no mpirun in PATH; install Open MPI (Debian: openmpi-bin) or load its module"};
  return {"--ranks", problem.empty(), problem.empty() ? first_line(version.said()) : problem};
}

Feature slurm() {
  const ProgramOutcome version = run_program({"sbatch", "--version"});
  if (version.code == 0) return {"SLURM", true, first_line(version.said())};
  if (version.code != kNotFound)
    return {"SLURM", false, fmt::format("sbatch is here, and says: {}", first_line(version.said()))};
  return {"SLURM", false, "no sbatch in PATH; jobs are submitted from a cluster's head node, --hostfile needs none"};
}

Feature modules() {
  for (const char* name : {"LMOD_VERSION", "MODULES_CMD", "MODULESHOME"})
    if (const auto value = environment_variable(name)) return {"modules", true, fmt::format("{}={}", name, *value)};
  return {"modules", false, "no `module` in this shell; its script in /etc/profile.d defines it"};
}

}  // namespace

std::vector<Feature> features_here() {
  std::vector<Feature> features{processors(), {"MPI", true, first_line(mpi_library())}};
  add_gpus(features);
  features.push_back(launcher());
  features.push_back(slurm());
  features.push_back(modules());
  return features;
}

std::string features_text(std::span<const Feature> features) {
  std::size_t width = 0;
  for (const Feature& each : features) width = std::max(width, each.name.size());
  std::string text;
  for (const Feature& each : features)
    text += fmt::format("{:<3}  {:<{}}  {}\n", each.is_available ? "yes" : "no", each.name, width, each.why);
  return text;
}

std::string features_json(std::span<const Feature> features) {
  json::object all;
  for (const Feature& each : features)
    all[each.name] = json::object{{"available", each.is_available}, {"why", each.why}};
  return json::serialize(all) + "\n";
}

}  // namespace ferula
