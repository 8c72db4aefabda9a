// A decorator that counts and times what a rank sends.
#pragma once

#include <memory>

#include "comm/communicator.hpp"
#include "comm/traffic.hpp"

namespace ferula {

/// Whether anything leaves a rank of this group: alone, it sends nothing.
inline bool has_traffic(const Communicator& group) { return group.size() > 1; }

/// Passes every call on to `inner` and adds it to `ledger`, which must outlive the result. A message counts where it is
/// sent; messages of one group are timed together.
std::unique_ptr<Communicator> count_traffic(std::unique_ptr<Communicator> inner, TrafficLedger& ledger);

}  // namespace ferula
