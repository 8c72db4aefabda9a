#include "ops/cuda/fused_attention.hpp"

#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <vector>

namespace ferula::cuda {
namespace {

constexpr const char* kLibrary = "libferula_cudnn.so";

/// Beside the library or program that holds this function, and in ../lib.
std::vector<std::filesystem::path> candidates() {
  Dl_info here{};
  if (dladdr(reinterpret_cast<void*>(&open_fused_attention), &here) == 0 || here.dli_fname == nullptr) return {};
  std::error_code error;
  const std::filesystem::path own = std::filesystem::canonical(here.dli_fname, error);
  std::vector<std::filesystem::path> found;
  for (std::filesystem::path folder = own.parent_path(); found.size() < 4; folder = folder.parent_path()) {
    found.push_back(folder / kLibrary);  // test programs lie in folders of the build's
    if (!folder.has_relative_path()) break;
  }
  found.push_back(own.parent_path().parent_path() / "lib" / kLibrary);
  return found;
}

std::string loader_words() {
  const char* words = dlerror();
  return words == nullptr ? "no reason given" : words;
}

}  // namespace

std::unique_ptr<FusedAttention> open_fused_attention(std::string& why) {
  const char* wanted = std::getenv("FERULA_CUDNN_ATTENTION");
  if (wanted != nullptr && std::string_view(wanted) == "none") {
    why = "FERULA_CUDNN_ATTENTION is none";
    return nullptr;
  }
  why = std::string("there is no ") + kLibrary;
  for (const std::filesystem::path& path : candidates()) {
    std::error_code error;
    if (!std::filesystem::is_regular_file(path, error)) continue;
    void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
      why = loader_words();
      return nullptr;
    }
    const auto entry = reinterpret_cast<FusedAttentionEntry>(dlsym(library, kFusedAttentionEntry));
    if (entry != nullptr) return std::unique_ptr<FusedAttention>(entry(kFusedAttentionAbi, why));
    why = loader_words();
    return nullptr;
  }
  return nullptr;
}

}  // namespace ferula::cuda
