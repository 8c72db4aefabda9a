// The real NCCL, opened when a GPU is used: the machine may have none, and another version than was built with.
#pragma once

#include "comm/nccl_api.hpp"

namespace ferula {

/// NCCL for the current GPU of the calling thread: the library that FERULA_NCCL_LIBRARY names, else libnccl.so.2 where
/// the loader finds it. FERULA_NCCL_LIBRARY=none asks for none. Throws DeviceError where a named library is unusable.
NcclOpening open_nccl();

}  // namespace ferula
