// What `ferula submit` refuses before SLURM is asked: runs that neither the cards nor the nodes of a profile hold.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "program.hpp"

namespace ferula::system_tests {
namespace {

using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;

/// A Llama of 6.7 billion parameters at stage 3 on four GPUs of a node of the profile's.
std::vector<std::string> large_job(const std::vector<std::string>& sets) {
  std::vector<std::string> words{"submit", "tiny.toml", "--dry-run"};
  for (const char* set : {"slurm.profile=prometheus", "slurm.gpus_per_node=4", "run.device=cuda", "bf16.enabled=true",
                          "model.family=llama", "model.layers=32", "model.width=4096", "model.heads=32",
                          "model.ffn_width=11008", "model.vocabulary=32000", "training.train_batch_size=4",
                          "training.train_micro_batch_size_per_gpu=1", "zero_optimization.stage=3"})
    words.insert(words.end(), {"--set", set});
  for (const std::string& set : sets) words.insert(words.end(), {"--set", set});
  return words;
}

TEST(SubmitSystem, RefusesAnOptimizerThatNeitherCardNorNodeHolds) {
  const Workplace workplace;
  write_tiny_run(workplace, 4);
  const std::string offload = "zero_optimization.offload_optimizer.device=cpu";

  const Outcome on_cards = workplace.ferula(large_job({}));
  const Outcome on_nodes = workplace.ferula(large_job({offload, "slurm.mem=64G"}));
  const Outcome held = workplace.ferula(large_job({offload}));

  EXPECT_EQ(on_cards.code, 3);
  EXPECT_THAT(on_cards.err, AllOf(HasSubstr("an RTX A5000 has room for"),
                                  ContainsRegex("offload_optimizer.device = \"cpu\" would move [0-9.]+ GiB")));
  EXPECT_EQ(on_nodes.code, 3);
  EXPECT_THAT(on_nodes.err, ContainsRegex("the 4 ranks of a node keep [0-9.]+ GiB of optimizer state in its memory.*"
                                          "asks for 64.0 GiB of it.*slurm. mem.*Nothing was submitted"));
  EXPECT_EQ(held.code, 0) << held.err;
}

}  // namespace
}  // namespace ferula::system_tests
