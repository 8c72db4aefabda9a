#include "app/version.hpp"

#include "ferula_revision.inc"  // written by env/cmake/WriteRevision.cmake at each build

namespace ferula {

std::string_view version() { return FERULA_VERSION; }
std::string_view revision() { return kRevision; }

}  // namespace ferula
