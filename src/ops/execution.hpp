// What a rank computes with: its device, operations, two streams and clock. A bundle of references, no owner.
#pragma once

#include "base/stopwatch.hpp"
#include "device/device.hpp"
#include "ops/ops.hpp"

namespace ferula {

struct Execution {
  Device& device;
  Ops& ops;
  Stream& compute;
  Stream& communication;  // the one stream of all collectives of this rank: their order is the program's order
  PhaseTimes& phases;     // where the time of this rank goes
};

}  // namespace ferula
