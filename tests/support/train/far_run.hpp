// Tiny runs over a device whose memory the host cannot reach.
#pragma once

#include "support/far_device.hpp"
#include "support/far_ops.hpp"
#include "support/train/tiny_run.hpp"

namespace ferula::test {

/// The run on a FarDevice, its collectives staged as those of GPUs are: it gives the same bits.
inline TinyRun far(TinyRun run) {
  run.make_ops = make_far_ops;
  run.make_device = make_far_device;
  run.staged_bytes = 4096;
  return run;
}

}  // namespace ferula::test
