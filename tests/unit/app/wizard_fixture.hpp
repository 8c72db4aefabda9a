// Shared by the tests of the wizard: what a machine on a cluster finds out, and the judge of what comes out.
#pragma once

#include <string>

#include "app/wizard/wizard.hpp"
#include "app/wizard/wizard_cluster.hpp"
#include "support/scratch_directory.hpp"

namespace ferula {

/// A head node of a cluster of A5000s, with a model folder and a text, and no GPU of its own.
WizardFacts cluster_facts();
/// What the head node of Prometheus shows.
ClusterSigns signs_of_prometheus();
/// The machine of `cluster_facts` with these signs, and the profile that comes with the program.
WizardFacts prometheus_facts(ClusterSigns signs = signs_of_prometheus());
/// A machine alone, with so many GPUs.
WizardFacts machine_facts(int gpus);

/// What `ferula checkpoint import` has left in a folder of `scratch`: a model of 64 ids.
ModelFolder imported_model(const ScratchDirectory& scratch);

/// What `config check FILE --ranks N` says of the wizard's file, and in SLURM `submit` of its job, which has the ranks
/// of the answers; empty where there is no mistake.
std::string mistakes_in(const Wizard& wizard);

}  // namespace ferula
