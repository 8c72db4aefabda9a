// The cluster that the wizard's job is for: which one it is, and what [slurm] says of the answers so far.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "app/wizard/wizard_question.hpp"

namespace ferula {

/// What tells which cluster this is.
struct ClusterSigns {
  std::string host;
  bool has_slurm = false;               // its commands are here, whether it answers or not
  std::vector<Partition> partitions{};  // of `sinfo`; none where it does not answer
  std::optional<KnownCluster> named{};  // by the environment, or by the earlier file
  std::vector<KnownCluster> shipped{};
};

/// Adds the partitions that may be chosen and their profiles. A profile that nobody named is taken where its partitions
/// are those of sinfo, or some of them on a host with the name of its head node. Where SLURM does not answer, every
/// profile tells of a cluster elsewhere.
void add_cluster(WizardFacts& facts, ClusterSigns signs);

/// `add_cluster` with the signs of this machine; looks at `facts.earlier_config`.
void find_cluster(WizardFacts& facts);

/// Keys of [slurm], as for `--set`, that follow from the answers so far; none outside of SLURM. What an earlier file
/// asks for beyond them stays where it is granted, and is left open where not.
std::vector<std::string> slurm_settings(const WizardView& view);

}  // namespace ferula
