// Ownership and error codes of MPI. Included by mpi_*.cpp only.
#pragma once

#define OMPI_SKIP_MPICXX 1  // the old C++ interface warns, and nobody uses it
#define MPICH_SKIP_MPICXX 1
#include <mpi.h>

#include "base/error.hpp"
#include "base/handle.hpp"

namespace ferula {

struct MpiCommTraits {
  using type = MPI_Comm;
  static MPI_Comm invalid() { return MPI_COMM_NULL; }
  static void close(MPI_Comm comm) noexcept { MPI_Comm_free(&comm); }
};
using MpiComm = Handle<MpiCommTraits>;

struct MpiGroupTraits {
  using type = MPI_Group;
  static MPI_Group invalid() { return MPI_GROUP_NULL; }
  static void close(MPI_Group group) noexcept { MPI_Group_free(&group); }
};
using MpiGroup = Handle<MpiGroupTraits>;

/// MPI's words for an error code.
std::string mpi_error_text(int code);

/// Throws CommError naming `operation` where `code` is an error.
void check_mpi(int code, std::string_view operation);

}  // namespace ferula
