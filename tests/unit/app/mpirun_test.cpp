// The words of each kind of mpirun. Those of Hydra were tried with MPICH 4.0.2.
#include "app/launch/mpirun.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hpp"

namespace ferula {
namespace {

using testing::ElementsAre;
using Words = std::vector<std::string>;

const std::vector<HostSlots> kHosts{{"a", {0, 1}}, {"b", {0, 2}}};
const Words kTrain{"ferula", "train", "my.toml"};

Words over_hosts(MpiKind kind) {
  Words words = mpirun_over_hosts(kind, kHosts, kTrain, {"NCCL_DEBUG", "UCX_TLS", "MODE=fast one"});
  std::erase(words, "--allow-run-as-root");
  return words;
}

TEST(Mpirun, OfOpenMpiNamesTheHostOfEachPart) {
  EXPECT_THAT(over_hosts(MpiKind::open_mpi),
              ElementsAre("mpirun", "--bind-to", "none", "-x", "NCCL_DEBUG", "-x", "UCX_TLS", "-x", "MODE=fast one",
                          "-n", "2", "--host", "a:2", "ferula", "train", "my.toml", ":", "-n", "2", "--host", "b:2",
                          "env", "CUDA_VISIBLE_DEVICES=0,2", "ferula", "train", "my.toml"));
}

TEST(Mpirun, OfHydraNamesAllHostsFirst) {
  EXPECT_THAT(over_hosts(MpiKind::hydra),
              ElementsAre("mpirun", "-bind-to", "none", "-genv", "MODE", "fast one", "-genvlist", "NCCL_DEBUG,UCX_TLS",
                          "-hosts", "a:2,b:2", "-n", "2", "ferula", "train", "my.toml", ":", "-n", "2", "env",
                          "CUDA_VISIBLE_DEVICES=0,2", "ferula", "train", "my.toml"));
}

TEST(Mpirun, OfIntelIsLeftToTheUser) { EXPECT_THROW(over_hosts(MpiKind::intel), ConfigError); }

TEST(Mpirun, StartsRanksHereWithoutBinding) {
  EXPECT_THAT(mpirun_here(MpiKind::open_mpi, 3), testing::IsSupersetOf({"--bind-to", "none", "-n", "3"}));
  EXPECT_THAT(mpirun_here(MpiKind::hydra, 3), ElementsAre("mpirun", "-bind-to", "none", "-n", "3"));
}

TEST(Mpirun, IsKnownByWhatItSaysOfItself) {
  EXPECT_EQ(mpi_kind("mpirun (Open MPI) 4.1.4\n"), MpiKind::open_mpi);
  EXPECT_EQ(mpi_kind("HYDRA build details:\n    Version:   4.0.2\n"), MpiKind::hydra);
  EXPECT_EQ(mpi_kind("MVAPICH2 Version      :     2.3.7"), MpiKind::hydra);
  EXPECT_EQ(mpi_kind("Intel(R) MPI Library for Linux* OS, Version 2021.10"), MpiKind::intel);
  EXPECT_FALSE(mpi_kind("something else"));
}

}  // namespace
}  // namespace ferula
