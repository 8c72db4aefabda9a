// Shared memory that MPI names in the file system, of which a killed job must leave nothing.
#pragma once

namespace ferula {

/// Takes the names off the files by which Open MPI shares memory between the ranks of a node, once all of them have
/// mapped all: the mappings stay until the last rank ends, however it ends. Where another MPI or transport shares
/// memory in another way there is nothing to do. Collective over the job, called once after MPI was initialised.
void take_names_off_mpi_segments();

}  // namespace ferula
