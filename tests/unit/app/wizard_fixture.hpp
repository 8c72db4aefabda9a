// Shared by the tests of the wizard: what a machine on a cluster finds out, and the judge of what comes out.
#pragma once

#include <string>

#include "app/wizard.hpp"

namespace ferula {

/// A head node of a cluster of A5000s, with a model folder and a text, and no GPU of its own.
WizardFacts cluster_facts();
/// A machine alone, with so many GPUs.
WizardFacts machine_facts(int gpus);

/// What `config check FILE --ranks N` says of the wizard's file; empty where it has no mistake.
std::string mistakes_in(const Wizard& wizard);

}  // namespace ferula
