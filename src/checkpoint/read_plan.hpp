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
/// The values as the optimizer keeps them, where they are in a narrower type themselves.
inline constexpr std::string_view kMasterRole = "master";

enum class ReadScope : std::uint8_t {
  everything,
  values_only,  // for inference: pieces of other roles are left as they are
  // For a new run: values and masters come from the most exact values there are, f32 and bf16 become each other, and
  // pieces of other roles are left as they are.
  starting_values,
};

/// One contiguous range: elements of `stored` from byte `position` of a shard on go to `target`.
struct PlannedRead {
  std::int64_t shard = 0;
  std::int64_t position = 0;
  DType stored = DType::f32;
  TensorView target;        // one-dimensional, in memory of the device; its dtype may be another one
  std::string_view tensor;  // in the manifest
  std::string_view role;
  std::int64_t first_element = 0;  // of the flattened tensor

  std::int64_t stored_bytes() const { return target.count() * bytes_of(stored); }
};

/// Ascending by shard and position. Throws one DataError that names every tensor and role that is missing or has
/// another shape or dtype. `where` names the checkpoint. The manifest must outlive the plan.
std::vector<PlannedRead> plan_reads(const Manifest& manifest, std::span<const OwnedPiece> needed, ReadScope scope,
                                    const std::string& where);

}  // namespace ferula
