#include "comm/mpi_segments.hpp"

#include <unistd.h>

#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "comm/mpi_handles.hpp"

namespace ferula {
namespace {

constexpr std::string_view kOpenMpiSegment = "/vader_segment.";

/// The files of MPI that this process has mapped.
std::vector<std::string> mapped_segments() {
  std::ifstream maps("/proc/self/maps");
  std::vector<std::string> paths;
  for (std::string line; std::getline(maps, line);)
    if (line.find(kOpenMpiSegment) != std::string::npos) paths.push_back(line.substr(line.find('/')));
  return paths;
}

}  // namespace

std::vector<std::string> take_names_off_mpi_segments() {
  MPI_Comm node = MPI_COMM_NULL;
  check_mpi(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node), "MPI_Comm_split_type");
  const MpiComm owner(node);
  int ranks = 0;
  check_mpi(MPI_Comm_size(node, &ranks), "MPI_Comm_size");
  const std::vector<std::string> segments = mapped_segments();
  int complete = segments.size() == static_cast<std::size_t>(ranks) ? 1 : 0;
  check_mpi(MPI_Allreduce(MPI_IN_PLACE, &complete, 1, MPI_INT, MPI_MIN, node), "MPI_Allreduce");
  if (complete == 0) return {};
  for (const std::string& path : segments) ::unlink(path.c_str());  // a peer may have been faster
  return segments;
}

void give_names_back(const std::vector<std::string>& segments) {
  if (segments.empty()) return;
  MPI_Comm node = MPI_COMM_NULL;
  int rank = 0;
  if (MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node) != MPI_SUCCESS) return;
  const MpiComm owner(node);
  MPI_Comm_rank(node, &rank);
  MPI_Barrier(node);
  if (rank == 0)
    for (const std::string& path : segments) std::ofstream(path).flush();
  MPI_Barrier(node);
}

}  // namespace ferula
