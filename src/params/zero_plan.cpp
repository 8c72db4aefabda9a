#include "params/zero_plan.hpp"

#include <algorithm>
#include <array>

#include "base/error.hpp"

namespace ferula {
namespace {

/// What each stage cuts, cumulative: 0 nothing, 1 optimizer state, 2 gradients too, 3 parameters too.
struct StageCuts {
  bool optimizer;
  bool gradient;
  bool parameter;
};

StageCuts cuts_of(int stage, GradientReduction reduction) {
  FERULA_CHECK(stage >= 0 && stage <= 3, "ZeRO stage {}", stage);
  return {stage >= 1, stage >= 2 && reduction == GradientReduction::each_micro_batch, stage >= 3};
}

constexpr std::array<std::string_view, 4> kStageNames{"No ZeRO (DDP-like)", "Optimizer state partitioning",
                                                      "Optimizer + gradient partitioning",
                                                      "Full parameter partitioning"};

ZeroPlan plan_of(StageCuts cuts, Mesh& mesh, Tier optimizer) {
  const Placement cut{&mesh.shard(), &mesh.replica()};
  const Placement whole{&mesh.self(), &mesh.data()};
  ZeroPlan plan;
  plan.optimizer = cuts.optimizer ? cut : whole;
  plan.optimizer.tier = optimizer;
  plan.gradient = cuts.gradient ? cut : whole;
  plan.parameter = cuts.parameter ? cut : whole;
  plan.scatter = cuts.optimizer && !cuts.gradient ? plan.optimizer.shard : &mesh.self();
  plan.combine = plan.optimizer.replica;
  plan.publish = cuts.optimizer && !cuts.parameter ? plan.optimizer.shard : &mesh.self();
  return plan;
}

}  // namespace

ZeroPlan make_zero_plan(int stage, GradientReduction reduction, Mesh& mesh, Tier optimizer) {
  return plan_of(cuts_of(stage, reduction), mesh, optimizer);
}

ZeroPlan make_persistent_plan(int stage, GradientReduction reduction, Mesh& mesh, Tier optimizer) {
  StageCuts cuts = cuts_of(stage, reduction);
  cuts.parameter = false;
  return plan_of(cuts, mesh, optimizer);
}

std::string_view stage_name(int stage) { return kStageNames.at(static_cast<std::size_t>(stage)); }

int finest_parts(const ZeroPlan& plan) {
  return std::max({plan.optimizer.shard->size(), plan.gradient.shard->size(), plan.parameter.shard->size()});
}

}  // namespace ferula
