// What a rank computes with: its device, its operations and its two streams. A bundle of references, no owner.
#pragma once

#include "device/device.hpp"
#include "ops/ops.hpp"

namespace ferula {

struct Execution {
  Device& device;
  Ops& ops;
  Stream& compute;
  Stream& communication;  // the one stream of all collectives of this rank: their order is the program's order
};

}  // namespace ferula
