// Schedules as data: who does what in which order, for all pipelines of up to eight stages.
#include "schedule/schedule.hpp"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "base/error.hpp"

namespace ferula {
namespace {

/// All pipelines of up to eight stages and micro batches.
template <class Check>
void for_each_pipeline(Check check) {
  for (std::int64_t stages = 1; stages <= 8; ++stages)
    for (std::int64_t microbatches = 1; microbatches <= 8; ++microbatches) {
      SCOPED_TRACE(fmt::format("{} stages, {} micro batches", stages, microbatches));
      std::vector<Schedule> pipeline;
      for (std::int64_t stage = 0; stage < stages; ++stage)
        pipeline.push_back(training_schedule(stage, stages, microbatches));
      check(pipeline, microbatches);
    }
}

std::vector<std::int64_t> microbatches_of(const Schedule& schedule, ActionKind kind) {
  std::vector<std::int64_t> found;
  for (const Action& action : schedule)
    if (action.kind == kind) found.push_back(action.microbatch);
  return found;
}

TEST(TrainingSchedule, OfOneStageIsGradientAccumulation) {
  EXPECT_EQ(to_text(training_schedule(0, 1, 2)),
            "gather 0\nforward 0\nbackward 0\ngather 1 (last)\nforward 1 (last)\nbackward 1 (last)\nreduce\nupdate\n");
}

TEST(TrainingSchedule, TakesForwardAndBackwardInTurnOnceThePipelineIsFull) {
  EXPECT_EQ(to_text(training_schedule(1, 3, 3)),
            "gather 0\nreceive_input 0\nforward 0\nsend_output 0\n"
            "gather 1\nreceive_input 1\nforward 1\nsend_output 1\n"
            "receive_gradient 0\nbackward 0\nsend_gradient 0\n"
            "gather 2 (last)\nreceive_input 2 (last)\nforward 2 (last)\nsend_output 2 (last)\n"
            "receive_gradient 1\nbackward 1\nsend_gradient 1\n"
            "receive_gradient 2 (last)\nbackward 2 (last)\nsend_gradient 2 (last)\n"
            "reduce\nupdate\n");
}

TEST(TrainingSchedule, VisitsEachStageOnceWithEachMicroBatchInOrder) {
  for_each_pipeline([](const std::vector<Schedule>& pipeline, std::int64_t microbatches) {
    std::vector<std::int64_t> all(static_cast<std::size_t>(microbatches));
    for (std::size_t index = 0; index < all.size(); ++index) all[index] = static_cast<std::int64_t>(index);
    for (const Schedule& schedule : pipeline) {
      EXPECT_EQ(microbatches_of(schedule, ActionKind::gather), all);
      EXPECT_EQ(microbatches_of(schedule, ActionKind::forward), all);
      EXPECT_EQ(microbatches_of(schedule, ActionKind::backward), all);
      EXPECT_EQ(schedule.back().kind, ActionKind::update);
      EXPECT_EQ(schedule[schedule.size() - 2].kind, ActionKind::reduce);
    }
  });
}

TEST(TrainingSchedule, KnowsTheLastMicroBatch) {
  for_each_pipeline([](const std::vector<Schedule>& pipeline, std::int64_t microbatches) {
    for (const Schedule& schedule : pipeline)
      for (const Action& action : schedule) EXPECT_EQ(action.is_last, action.microbatch == microbatches - 1);
  });
}

TEST(TrainingSchedule, EverySendMeetsItsReceive) {
  for_each_pipeline([](const std::vector<Schedule>& pipeline, std::int64_t) {
    for (std::size_t stage = 0; stage + 1 < pipeline.size(); ++stage) {
      EXPECT_EQ(microbatches_of(pipeline[stage], ActionKind::send_output),
                microbatches_of(pipeline[stage + 1], ActionKind::receive_input));
      EXPECT_EQ(microbatches_of(pipeline[stage + 1], ActionKind::send_gradient),
                microbatches_of(pipeline[stage], ActionKind::receive_gradient));
    }
    EXPECT_TRUE(microbatches_of(pipeline.front(), ActionKind::receive_input).empty());
    EXPECT_TRUE(microbatches_of(pipeline.front(), ActionKind::send_gradient).empty());
    EXPECT_TRUE(microbatches_of(pipeline.back(), ActionKind::send_output).empty());
    EXPECT_TRUE(microbatches_of(pipeline.back(), ActionKind::receive_gradient).empty());
  });
}

TEST(TrainingSchedule, KeepsNoTwoMicroBatchesInOneSlot) {
  for_each_pipeline([](const std::vector<Schedule>& pipeline, std::int64_t microbatches) {
    for (std::size_t stage = 0; stage < pipeline.size(); ++stage) {
      const std::int64_t slots =
          slots_needed(static_cast<std::int64_t>(stage), static_cast<std::int64_t>(pipeline.size()), microbatches);
      std::set<std::int64_t> taken;
      for (const Action& action : pipeline[stage]) {
        if (action.kind == ActionKind::forward) {
          EXPECT_TRUE(taken.insert(action.slot).second);
          EXPECT_LT(action.slot, slots);
        }
        if (action.kind == ActionKind::backward) {
          EXPECT_EQ(taken.erase(action.slot), 1u);
        }
      }
    }
  });
}

/// Neighbouring sends and receives as one group that ends when the other sides have reached theirs: the strictest
/// transport there is. A stage's place is the number of its finished actions.
class Rendezvous {
 public:
  explicit Rendezvous(const std::vector<Schedule>& pipeline) : pipeline_(pipeline), places_(pipeline.size()) {}

  bool runs_to_the_end() {
    while (advance()) {
    }
    for (std::size_t stage = 0; stage < pipeline_.size(); ++stage)
      if (places_[stage] != pipeline_[stage].size()) return false;
    return true;
  }

 private:
  std::size_t group_end(std::size_t stage) const {
    std::size_t end = places_[stage];
    while (end < pipeline_[stage].size() && is_communication(pipeline_[stage][end].kind)) ++end;
    return end;
  }

  /// Whether the stage is at or behind the group that holds this action.
  bool has_posted(std::size_t stage, ActionKind kind, std::int64_t microbatch) const {
    for (std::size_t place = 0; place < group_end(stage); ++place)
      if (pipeline_[stage][place].kind == kind && pipeline_[stage][place].microbatch == microbatch) return true;
    return false;
  }

  bool is_met(std::size_t stage, const Action& action) const {
    switch (action.kind) {
      case ActionKind::receive_input:
        return has_posted(stage - 1, ActionKind::send_output, action.microbatch);
      case ActionKind::send_output:
        return has_posted(stage + 1, ActionKind::receive_input, action.microbatch);
      case ActionKind::receive_gradient:
        return has_posted(stage + 1, ActionKind::send_gradient, action.microbatch);
      case ActionKind::send_gradient:
        return has_posted(stage - 1, ActionKind::receive_gradient, action.microbatch);
      default:
        return true;
    }
  }

  bool advance() {
    bool moved = false;
    for (std::size_t stage = 0; stage < pipeline_.size(); ++stage) {
      std::size_t end = group_end(stage);
      if (end == places_[stage]) end = std::min(end + 1, pipeline_[stage].size());
      bool met = end > places_[stage];
      for (std::size_t place = places_[stage]; place < end; ++place)
        met = met && is_met(stage, pipeline_[stage][place]);
      if (!met) continue;
      places_[stage] = end;
      moved = true;
    }
    return moved;
  }

  const std::vector<Schedule>& pipeline_;
  std::vector<std::size_t> places_;
};

TEST(TrainingSchedule, NeverBlocksEvenWhenSendsWaitForReceives) {
  for_each_pipeline(
      [](const std::vector<Schedule>& pipeline, std::int64_t) { EXPECT_TRUE(Rendezvous(pipeline).runs_to_the_end()); });
}

TEST(TrainingSchedule, RefusesAStageOutsideThePipeline) {
  EXPECT_THROW(training_schedule(2, 2, 1), Error);
  EXPECT_THROW(training_schedule(0, 1, 0), Error);
}

}  // namespace
}  // namespace ferula
