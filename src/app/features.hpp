// What this build can do on this machine, backend by backend, and why not: `ferula doctor --features`.
#pragma once

#include <span>
#include <string>
#include <vector>

namespace ferula {

/// A backend that a run may use.
struct Feature {
  std::string name;  // "NCCL"
  bool is_available = false;
  std::string why;  // what was found, or what is missing and what to do
};

/// Asks this process and this machine alone; opens the CUDA backend where there is one. Throws nothing for what is
/// missing.
std::vector<Feature> features_here();

/// A line each: "yes  NCCL  2.28.9".
std::string features_text(std::span<const Feature> features);
/// {"NCCL": {"available": true, "why": "2.28.9"}, …}
std::string features_json(std::span<const Feature> features);

}  // namespace ferula
