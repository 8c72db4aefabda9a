// Shared memory that MPI names in the file system, of which a killed job must leave nothing.
#pragma once

#include <string>
#include <vector>

namespace ferula {

/// Takes the names off the files by which Open MPI shares memory between the ranks of a node, once all of them have
/// mapped all: the mappings stay until the last rank ends, however it ends. Where another MPI or transport shares
/// memory in another way there is nothing to do. Collective over the job, called once after MPI was initialised.
/// Returns the names that are gone.
std::vector<std::string> take_names_off_mpi_segments();
/// Empty files under those names, which MPI removes while it is finalised and would otherwise complain of. Collective
/// over the job, called right before that.
void give_names_back(const std::vector<std::string>& segments);

}  // namespace ferula
