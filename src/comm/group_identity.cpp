#include "comm/group_identity.hpp"

#include <array>

namespace ferula {

std::string describe(const GroupIdentity& group, int rank) {
  const GroupMember& member = group.members.at(static_cast<std::size_t>(rank));
  return fmt::format("rank {} ({})", member.world_rank, member.host);
}

std::string failure_of(const GroupIdentity& group, std::string_view operation, std::string_view what) {
  return fmt::format("{}: {} of group '{}' ({} ranks): {}", describe(group, group.rank), operation, group.axis,
                     group.size(), what);
}

std::string_view name_of(CollectiveCall::Kind kind) {
  constexpr std::array<std::string_view, 4> kNames{"all_reduce", "all_gather", "reduce_scatter", "broadcast"};
  return kNames.at(static_cast<std::size_t>(kind));
}

std::string describe(const CollectiveCall& call) {
  std::string detail;
  if (call.kind == CollectiveCall::Kind::broadcast) {
    detail = fmt::format(", root {}", call.detail);
  } else if (call.kind == CollectiveCall::Kind::all_gather) {
    if (call.detail == kIntoCommonMemory) detail = ", into common memory";
  } else {
    detail = call.detail == static_cast<std::int64_t>(ReduceOp::sum) ? ", sum" : ", max";
  }
  return fmt::format("{}({} × {}{})", name_of(call.kind), name_of(call.dtype), call.count, detail);
}

}  // namespace ferula
