#include "comm/thread_waiting.hpp"

#include <stdlib.h>
#include <unistd.h>

namespace ferula {

void wait_without_spinning(char** arguments) {
  if (getenv("OMP_WAIT_POLICY") != nullptr || setenv("OMP_WAIT_POLICY", "passive", 0) != 0) return;
  execv("/proc/self/exe", arguments);
}

}  // namespace ferula
