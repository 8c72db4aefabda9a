// How long a step of a rank takes among others: its computing and its sending, simulated unit by unit without a rank
// running.
#pragma once

#include "train/memory_forecast.hpp"

namespace ferula {

/// Whether a rank computes while it sends, as where GPUs and links work by themselves, or sends with the threads that
/// would compute.
enum class Sending : unsigned char { in_turns, beside_compute };

/// What a rank computes, updates and sends with. A collective of n ranks on m nodes takes `call_s`, n − m hops within
/// nodes and m − 1 between them, and for its bytes the slower one of the rank's link and its part of the network.
struct ScalingMachine {
  double flops_per_second = 0.0;          // of forward and backward pass
  double updated_bytes_per_second = 0.0;  // of the optimizer and the norm; 0: unknown, they take no time
  double link_bytes_per_second = 0.0;     // to ranks of its node; 0: unknown, sending takes no time
  double network_bytes_per_second = 0.0;  // of a whole node to others
  double call_s = 0.0;
  double link_hop_s = 0.0;
  double network_hop_s = 0.0;
  Sending sending = Sending::in_turns;
};

/// Where the time of a step goes.
struct SimulatedStep {
  double passes_s = 0.0;    // forward and backward
  double updating_s = 0.0;  // norm and optimizer
  double waiting_s = 0.0;   // for values and gradients that computing does not hide

  double total() const { return passes_s + updating_s + waiting_s; }
};

/// Bytes that the norm and AdamW touch for an element: the gradient twice, master and moments, the value.
double bytes_of_update(DType storage);

/// A group's ranks, and the nodes they are on. Of each node it has equally many.
struct GroupSpan {
  int ranks = 1;
  int nodes = 1;
};

/// Seconds of a collective over `bytes`, the size of the whole tensor; an all-reduce is two of them. `ranks_on_node`
/// share a node's network.
double collective_seconds(const ScalingMachine& machine, const GroupSpan& group, int ranks_on_node, double bytes);

/// The step of rank 0 in the order of ParameterStore and Runner: a gather of each unit is started when the one before
/// it computes, gradients are reduced behind the backward pass of their unit, new values published behind the update.
/// `mesh` may be a planned one.
SimulatedStep simulate_step(const TrainingShape& shape, Mesh& mesh, const ScalingMachine& machine);

}  // namespace ferula
