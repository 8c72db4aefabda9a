// Checks of the program and of the environment that it was started in.
#include "base/error.hpp"
#include "doctor/check.hpp"
#include "doctor/facts_text.hpp"

namespace ferula {
namespace {

Finding program_version(const SystemFacts& facts) { return good(facts.job().program); }

Finding processor_instructions(const SystemFacts& facts) {
  const std::string flags = " " + value_of(facts.file("/proc/cpuinfo").value_or(""), "flags").value_or("") + " ";
  const auto has = [&](std::string_view flag) {
    return flags.find(" " + std::string(flag) + " ") != std::string::npos;
  };
  if (has("avx512_bf16")) return good("AVX-512 with bf16 products");
  if (has("avx512f")) return good("AVX-512, bf16 products are emulated");
  if (has("avx2")) return good("AVX2, bf16 products are emulated");
  return warned("neither AVX2 nor AVX-512");
}

Finding cuda_backend(const SystemFacts& facts) {
  const bool has_driver = facts.file("/proc/driver/nvidia/version").has_value();
  const std::string& library = facts.job().cuda_library;
  if (!library.empty()) return good(library);
  return has_driver ? warned("a GPU driver, but no libferula_cuda.so") : skipped("a build and a host without CUDA");
}

Finding cuda_libraries(const SystemFacts& facts) {
  const std::string& library = facts.job().cuda_library;
  if (library.empty()) return skipped("no CUDA backend");
  const auto listed = facts.run({"ldd", library});
  if (!listed || listed->code != 0) return skipped("ldd does not tell");
  if (const auto missing = line_with(listed->text, "not found")) return failed(*missing);
  return good("all found");
}

Finding hdf5_variables(const SystemFacts& facts) {
  for (const char* name : {"HDF5_DISABLE_VERSION_CHECK", "HDF5_DRIVER", "HDF5_PLUGIN_PATH"})
    if (const auto value = facts.variable(name)) return warned(fmt::format("{}={}", name, *value));
  return good("none set");
}

Finding nccl_library(const SystemFacts& facts) {
  const auto wanted = facts.variable("FERULA_NCCL_LIBRARY");
  if (!wanted) return good("the one that the loader finds");
  if (*wanted == "none") return warned("FERULA_NCCL_LIBRARY=none: GPUs talk through the host");
  const std::string folder = wanted->substr(0, wanted->rfind('/'));
  for (const std::string& name : facts.names(folder))
    if (folder + "/" + name == *wanted) return good(*wanted);
  return failed(fmt::format("FERULA_NCCL_LIBRARY={} is no file", *wanted));
}

Finding library_path(const SystemFacts& facts) {
  const auto folders = pieces(facts.variable("LD_LIBRARY_PATH").value_or(""), ':');
  for (const std::string& folder : folders)
    if (facts.names(folder).empty()) return warned(fmt::format("{} is missing or empty", folder));
  return good(fmt::format("{} folders", folders.size()));
}

Finding modules(const SystemFacts& facts) {
  const std::string loaded = facts.variable("LOADEDMODULES").value_or("");
  return good(loaded.empty() ? "none" : fmt::format("{}", fmt::join(pieces(loaded, ':'), ", ")));
}

constexpr Check kChecks[]{
    {"program-version", "the program", "the same version and revision on every host",
     "install one build under a path that all hosts share, and start that one", program_version, CheckScope::host,
     Agreement::same_on_hosts},
    {"processor-instructions", "/proc/cpuinfo", "AVX2 or AVX-512, alike on every host",
     "train on GPUs or on hosts with a newer processor; take hosts of one kind (sbatch --constraint): others round "
     "differently",
     processor_instructions, CheckScope::host, Agreement::same_on_hosts},
    {"cuda-backend", "/proc/driver/nvidia/version, the program's folder",
     "libferula_cuda.so beside the program where there are GPUs",
     "build with -DFERULA_CUDA=ON, and copy libferula_cuda.so together with the program", cuda_backend},
    {"cuda-libraries", "ldd libferula_cuda.so", "every CUDA library found",
     "load the CUDA module that the program was built with, or add its lib64 to LD_LIBRARY_PATH", cuda_libraries},
    {"hdf5-variables", "HDF5_DISABLE_VERSION_CHECK, HDF5_DRIVER, HDF5_PLUGIN_PATH", "none set",
     "unset it: checkpoints rely on HDF5's own driver and checks", hdf5_variables, CheckScope::rank},
    {"nccl-library", "FERULA_NCCL_LIBRARY", "not set, or the path of a NCCL library",
     "unset FERULA_NCCL_LIBRARY, or give it the path of libnccl.so.2", nccl_library, CheckScope::rank},
    {"library-path", "LD_LIBRARY_PATH", "folders that exist",
     "remove the folder from LD_LIBRARY_PATH, or load the module that it belongs to on this host, too", library_path},
    {"modules", "LOADEDMODULES", "the same modules on every host",
     "load modules in the batch script before srun, not in ~/.bashrc of one host", modules, CheckScope::host,
     Agreement::same_on_hosts},
};

}  // namespace

std::span<const Check> program_checks() { return kChecks; }

}  // namespace ferula
