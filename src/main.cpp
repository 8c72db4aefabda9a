// The table of commands; everything else is in the file of each command.
#include <array>
#include <csignal>
#include <string>
#include <vector>

#include "app/program.hpp"
#include "base/heap.hpp"
#include "comm/thread_waiting.hpp"

int main(int argc, char** argv) {
  ferula::wait_without_spinning(argv);
  ferula::return_large_pieces_at_once();
  std::signal(SIGXFSZ, SIG_IGN);  // a file beyond `ulimit -f` is an error of the write, which says so
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  const std::array commands{
      ferula::bench_command(),  ferula::checkpoint_command(), ferula::compare_command(),  ferula::config_command(),
      ferula::doctor_command(), ferula::evaluate_command(),   ferula::generate_command(), ferula::plan_command(),
      ferula::status_command(), ferula::submit_command(),     ferula::tokenize_command(), ferula::train_command(),
  };
  return static_cast<int>(ferula::run_program(commands, arguments));
}
