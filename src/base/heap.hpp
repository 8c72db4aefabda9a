// How the heap of this process treats large pieces.
#pragma once

namespace ferula {

/// From now on pieces of at least 128 KiB are mapped one by one, and freed they go back to the system at once. Left to
/// itself glibc raises that limit to the largest piece freed so far, and then the buffers of every save and HDF5's
/// tables leave holes that count as resident. Once, at the start of main.
void return_large_pieces_at_once();

}  // namespace ferula
