// Who the ranks of a group are: what an error message of a collective names.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "comm/communicator.hpp"

namespace ferula {

struct GroupMember {
  int world_rank = 0;
  std::string host;
  int process = 0;  // process id where it can be watched from here; 0 where it shares this process or is far away
};

struct GroupIdentity {
  std::string axis;  // "data", "shard", …
  int rank = 0;      // this rank's position in `members`
  std::vector<GroupMember> members;
  int size() const { return static_cast<int>(members.size()); }
};

/// "rank 3 (gpu04)": the world rank and host of member `rank` of the group.
std::string describe(const GroupIdentity& group, int rank);

/// "rank 3 (gpu04): all_reduce of group 'data' (4 ranks): …": what a CommError of this group says.
std::string failure_of(const GroupIdentity& group, std::string_view operation, std::string_view what);

/// The detail of an all-gather whose result the ranks have in common.
inline constexpr std::int64_t kIntoCommonMemory = 1;

/// What a collective was called with: equal on all ranks of a group, or the ranks have parted ways.
struct CollectiveCall {
  enum class Kind : std::int64_t { all_reduce, all_gather, reduce_scatter, broadcast };
  Kind kind = Kind::all_reduce;
  DType dtype = DType::f32;
  std::int64_t count = 0;   // elements of the whole tensor
  std::int64_t detail = 0;  // the ReduceOp, the root of a broadcast, or kIntoCommonMemory
  friend bool operator==(const CollectiveCall&, const CollectiveCall&) = default;
};

/// "all_reduce(f32 × 1024, sum)".
std::string describe(const CollectiveCall& call);
std::string_view name_of(CollectiveCall::Kind kind);

}  // namespace ferula
