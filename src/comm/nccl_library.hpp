// The real NCCL, opened when a GPU is used: the machine may have none, and another version than was built with.
#pragma once

#include <memory>
#include <string>

#include "comm/nccl_api.hpp"

namespace ferula {

struct NcclOpening {
  std::unique_ptr<NcclApi> api;  // null where there is no NCCL
  std::string reason = {};       // then why, in words
};

/// NCCL for the current GPU of the calling thread: the library that FERULA_NCCL_LIBRARY names, else libnccl.so.2 where
/// the loader finds it. FERULA_NCCL_LIBRARY=none asks for none. Throws DeviceError where a named library is unusable.
NcclOpening open_nccl();

}  // namespace ferula
