// Without a GPU: every operation has its kernels for every architecture of the build, and those of attention that are
// measured keep everything in registers.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <sstream>

#include "device_code.hpp"

namespace ferula::gpu_test {
namespace {

/// The kernels behind each operation of ops/ops.hpp; products are the library's, with these beside it.
const std::map<std::string, std::vector<std::string>> kKernels{
    {"linear", {"plain_product_kernel"}},
    {"linear_gelu", {"pointwise_kernel"}},
    {"linear_gelu_backward", {"pointwise_kernel"}},
    {"linear_backward_input", {"plain_product_kernel"}},
    {"linear_backward_weight", {"plain_product_kernel", "column_sums_kernel", "add_column_sums_kernel"}},
    {"linear_gelu", {"plain_product_kernel", "pointwise_kernel"}},
    {"linear_gelu_backward", {"plain_product_kernel", "pointwise_kernel"}},
    {"make_prepared", {}},
    {"embed", {"embed_kernel"}},
    {"embed_backward", {"make_keys_kernel", "DeviceRadixSortOnesweepKernel", "add_runs_kernel"}},
    {"residual_norm", {"warp_norm_kernel", "block_norm_kernel"}},
    {"norm_backward", {"norm_backward_kernel", "add_column_sums_kernel"}},
    {"gelu", {"pointwise_kernel"}},
    {"gelu_backward", {"pointwise_kernel"}},
    {"swiglu", {"pointwise_kernel"}},
    {"swiglu_backward", {"swiglu_backward_kernel"}},
    {"rotary", {"rotary_kernel"}},
    {"dropout", {"dropout_kernel"}},
    {"add", {"pointwise_kernel"}},
    {"copy", {"pointwise_kernel", "move_rows_kernel"}},
    {"fill", {"pointwise_kernel"}},
    {"gather_rows", {"move_rows_kernel"}},
    {"attention", {"find_sequences_kernel", "plain_attention_kernel", "flash_attention_kernel"}},
    {"attention_backward",
     {"dot_rows_kernel", "plain_attention_dq_kernel", "plain_attention_dkv_kernel", "flash_attention_dq_kernel",
      "flash_attention_dkv_kernel", "pack_logsumexp_kernel"}},
    {"cache_append", {"cache_append_kernel"}},
    {"attention_cached", {"attention_cached_kernel", "join_parts_kernel"}},
    {"cross_entropy", {"held_cross_entropy_kernel", "cross_entropy_kernel"}},
    {"sum_of_squares", {"sum_of_squares_kernel", "add_partial_kernel"}},
    {"optimizer_update", {"optimizer_kernel"}},
    {"fill_normal", {"fill_normal_kernel"}},
};

const std::map<int, Kernels>& built() {
  static const std::map<int, Kernels> kernels = kernels_of(FERULA_GPU_PROGRAM);
  return kernels;
}

std::vector<int> wanted_architectures() {
  std::vector<int> result;
  std::stringstream list(FERULA_GPU_ARCHITECTURES);
  for (std::string each; std::getline(list, each, ',');) result.push_back(std::stoi(each));
  return result;
}

/// Whether a mangled name is that of a kernel: it holds the name behind its length.
bool is_kernel(const std::string& mangled, const std::string& name) {
  return mangled.find(std::to_string(name.size()) + name) != std::string::npos;
}

TEST(GpuKernels, NameEveryOperationOfTheInterface) {
  std::ifstream file(std::string(FERULA_SOURCE_DIR) + "/src/ops/ops.hpp");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const std::regex declaration(R"(virtual (?:void (\w+)\(Stream&|std::unique_ptr<PreparedWeight> (\w+)\())");
  std::set<std::string> declared, listed;
  for (auto match = std::sregex_iterator(text.begin(), text.end(), declaration); match != std::sregex_iterator();
       ++match)
    declared.insert((*match)[1].matched ? (*match)[1] : (*match)[2]);
  for (const auto& [operation, kernels] : kKernels) listed.insert(operation);

  EXPECT_GE(declared.size(), 25u);
  EXPECT_EQ(declared, listed);
}

TEST(GpuKernels, AreBuiltForEveryArchitecture) {
  ASSERT_FALSE(wanted_architectures().empty());
  for (const int architecture : wanted_architectures()) {
    const auto found = built().find(architecture);
    ASSERT_NE(found, built().end()) << "no code for sm_" << architecture << " in " << FERULA_GPU_PROGRAM;
    for (const auto& [operation, kernels] : kKernels)
      for (const std::string& kernel : kernels)
        EXPECT_TRUE(std::any_of(found->second.begin(), found->second.end(),
                                [&](const auto& each) { return is_kernel(each.first, kernel); }))
            << operation << ": no " << kernel << " for sm_" << architecture;
  }
}

/// The body of every kernel in the PTX that the program keeps for later GPUs, by its mangled name.
std::multimap<std::string, std::string> ptx_kernels() {
  std::ifstream file(FERULA_GPU_PROGRAM, std::ios::binary);
  const std::string program{std::istreambuf_iterator<char>(file), {}};
  const std::string entry = ".entry ", end = "\n}";
  std::multimap<std::string, std::string> result;
  for (std::size_t at = program.find(entry); at != std::string::npos; at = program.find(entry, at + 1)) {
    const std::size_t name = at + entry.size(), behind = program.find('(', name), last = program.find(end, name);
    if (last != std::string::npos) result.emplace(program.substr(name, behind - name), program.substr(at, last - at));
  }
  return result;
}

// The compiler once made four requests of one store of 16 bytes in most of these kernels.
TEST(GpuKernels, StoreSixteenBytesAtOnce) {
  const std::regex fourth(R"(st\.global\.[bfu]32 +\[%rd\d+\+12\])");
  std::map<std::string, int> seen;
  for (const auto& [name, body] : ptx_kernels())
    for (const std::string kernel : {"warp_norm_kernel", "block_norm_kernel", "norm_backward_kernel", "rotary_kernel",
                                     "dropout_kernel", "swiglu_backward_kernel", "held_cross_entropy_kernel"})
      if (is_kernel(name, kernel)) {
        ++seen[kernel];
        EXPECT_FALSE(std::regex_search(body, fourth)) << name;
      }
  EXPECT_EQ(seen.size(), 7u) << "no PTX in " << FERULA_GPU_PROGRAM;
}

TEST(GpuKernels, KeepAttentionOf64And128InRegisters) {
  int looked_at = 0;
  for (const auto& [architecture, kernels] : built())
    for (const auto& [name, frame_bytes] : kernels)
      for (const std::string kernel :
           {"flash_attention_kernel", "flash_attention_dq_kernel", "flash_attention_dkv_kernel"})
        for (const std::string head_dim : {"64", "128"})
          if (is_kernel(name, kernel) && name.find("ILi" + head_dim + "E") != std::string::npos) {
            EXPECT_EQ(frame_bytes, 0u) << name << " for sm_" << architecture;
            ++looked_at;
          }
  EXPECT_EQ(looked_at, 6 * static_cast<int>(wanted_architectures().size()));
}

}  // namespace
}  // namespace ferula::gpu_test
