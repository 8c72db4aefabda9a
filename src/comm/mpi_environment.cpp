#include "comm/mpi_environment.hpp"

#include <array>
#include <cstdlib>
#include <exception>

#include "comm/mpi_handles.hpp"
#include "comm/mpi_segments.hpp"

namespace ferula {

std::string mpi_error_text(int code) {
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  if (MPI_Error_string(code, text.data(), &length) != MPI_SUCCESS) return fmt::format("error {}", code);
  return {text.data(), static_cast<std::size_t>(length)};
}

void check_mpi(int code, std::string_view operation) {
  if (code != MPI_SUCCESS) throw CommError(fmt::format("{} failed: {}", operation, mpi_error_text(code)));
}

std::string mpi_library() {
  std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> text{};
  int length = 0;
  check_mpi(MPI_Get_library_version(text.data(), &length), "MPI_Get_library_version");
  return text.data();  // Open MPI counts the zero at its end, too
}

MpiEnvironment::MpiEnvironment() : exceptions_at_start_(std::uncaught_exceptions()) {
  int initialized = 0;
  check_mpi(MPI_Initialized(&initialized), "MPI_Initialized");
  if (initialized != 0) throw CommError("expected MPI to be started once in a process, found it already initialised");
  int provided = MPI_THREAD_SINGLE;
  check_mpi(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &provided), "MPI_Init_thread");
  if (provided < MPI_THREAD_MULTIPLE) {
    MPI_Finalize();
    throw CommError(
        "expected an MPI with MPI_THREAD_MULTIPLE, found one without; use an Open MPI or MPICH that was built with "
        "thread support");
  }
  check_mpi(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  check_mpi(MPI_Comm_rank(MPI_COMM_WORLD, &rank_), "MPI_Comm_rank");
  check_mpi(MPI_Comm_size(MPI_COMM_WORLD, &size_), "MPI_Comm_size");
  segments_ = take_names_off_mpi_segments();
}

MpiEnvironment::~MpiEnvironment() {
  if (std::uncaught_exceptions() > exceptions_at_start_) return;
  give_names_back(segments_);
  MPI_Finalize();
}

void MpiEnvironment::abort(int exit_code) const {
  MPI_Abort(MPI_COMM_WORLD, exit_code);
  std::_Exit(exit_code);
}

}  // namespace ferula
