// From the pieces that a rank needs to the byte ranges that hold them, whatever layout wrote the checkpoint.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "checkpoint/manifest.hpp"
#include "params/parameter_store.hpp"

namespace ferula {

/// The role of the parameters themselves; every other role belongs to an optimizer.
inline constexpr std::string_view kValueRole = "value";

enum class ReadScope : std::uint8_t {
  everything,
  values_only,  // for inference, or a new optimizer: pieces of other roles are left as they are
};

/// One contiguous range: bytes [position, position + target.size()) of a shard go to `target`.
struct PlannedRead {
  std::int64_t shard = 0;
  std::int64_t position = 0;
  std::span<std::byte> target;  // memory of the device
  std::string_view tensor;      // in the manifest
  std::string_view role;
  std::int64_t first_element = 0;  // of the flattened tensor
};

/// Ascending by shard and position. Throws one DataError that names every tensor and role that is missing or has
/// another shape or dtype. `where` names the checkpoint. The manifest must outlive the plan.
std::vector<PlannedRead> plan_reads(const Manifest& manifest, std::span<const OwnedPiece> needed, ReadScope scope,
                                    const std::string& where);

}  // namespace ferula
