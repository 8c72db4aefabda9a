// The program of every test under mpirun: its MPI, and a main that makes it before the tests run.
#pragma once

#include "comm/mpi_environment.hpp"

namespace ferula::test {

/// MPI as `main` initialised it; valid while the tests run.
MpiEnvironment& job();

}  // namespace ferula::test
