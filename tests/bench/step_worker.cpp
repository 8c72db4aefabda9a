// Trains as many steps as each line of its input asks for and answers each with their times as one line of JSON; so a
// driver can let it take turns with a peer. Under mpirun with mpi=1.
#include <iostream>

#include "comm/mpi_transport.hpp"
#include "comm/simulated_transport.hpp"
#include "samples.hpp"
#include "training_rank.hpp"

namespace ferula::bench {
namespace {

/// Steps that the driver asks for, the same on every rank; 0 at the end of the input.
int requested_steps(TrainingRank& rank) {
  int steps = 0;
  if (rank.is_first() && !(std::cin >> steps)) steps = 0;
  return static_cast<int>(rank.sum(steps));
}

std::string phases_in_json(const PhaseTimes& now, const PhaseTimes& before) {
  std::string text;
  for (std::size_t index = 0; index < kPhases; ++index) {
    const auto phase = static_cast<Phase>(index);
    text += fmt::format("{}\"{}\":{:.6f}", index == 0 ? "" : ",", name_of(phase),
                        now.seconds(phase) - before.seconds(phase));
  }
  return text;
}

void serve(TrainingRank& rank) {
  if (rank.is_first()) std::cout << fmt::format("{{\"parameters\":{}}}", rank.parameters()) << std::endl;
  for (int steps = requested_steps(rank); steps > 0; steps = requested_steps(rank)) {
    for (int index = 0; index < steps; ++index) {
      const PhaseTimes before = rank.phases();
      const double processor = processor_seconds();
      const StepResult step = rank.step();
      const double all = rank.sum(processor_seconds() - processor);
      if (rank.is_first())
        std::cout << fmt::format("{{\"wall_s\":{:.6f},\"cpu_s\":{:.6f},\"loss\":{:.6f},\"phases_s\":{{{}}}}}",
                                 step.seconds, all, step.loss, phases_in_json(rank.phases(), before))
                  << std::endl;
    }
  }
}

void run(const Arguments& arguments) {
  const auto threads = static_cast<int>(arguments.number("threads", 2));
  if (arguments.number("mpi", 0) == 0) {
    TrainingRank rank(make_self_transport(), step_shape(arguments), threads);
    return serve(rank);
  }
  MpiEnvironment mpi;
  TrainingRank rank(make_mpi_transport(mpi), step_shape(arguments), threads);
  serve(rank);
}

}  // namespace
}  // namespace ferula::bench

int main(int count, char** words) { return ferula::bench::run_program(count, words, ferula::bench::run); }
