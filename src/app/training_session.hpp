// One rank's part of `ferula train`: makes store, model, data and trainer, resumes, and runs.
#pragma once

#include "app/rank_context.hpp"
#include "config/load_config.hpp"
#include "config/resolve_config.hpp"

namespace ferula {

struct SessionRequest {
  const LoadedConfig& loaded;  // with "auto" where the user wrote it
  ResolveFacts facts;          // without the number of samples
  std::string resume;          // auto, never or the path of a checkpoint
  Overlap overlap = Overlap::off;
  std::string command;     // as typed
  std::string continuing;  // the same that goes on from where the run ends
};

/// Collective. Trains until the last step, or until somebody asks the run to stop.
ExitCode train(RankContext& context, const SessionRequest& request);
/// Collective. Prints what each rank would hold and do, without allocating it.
ExitCode plan_training(RankContext& context, const SessionRequest& request);

}  // namespace ferula
