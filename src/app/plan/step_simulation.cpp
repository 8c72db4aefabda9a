#include "app/plan/step_simulation.hpp"

#include <algorithm>
#include <array>
#include <set>
#include <utility>
#include <vector>

#include "comm/counting_communicator.hpp"
#include "model/flops.hpp"
#include "model/parameter_table.hpp"

namespace ferula {
namespace {

/// Of the rank's groups the one that is `group`.
GroupSpan span_of(const Communicator& group, Mesh& mesh) {
  if (!has_traffic(group)) return {};
  const std::array<std::pair<const char*, const Communicator*>, 3> axes{
      {{"shard", &mesh.shard()}, {"replica", &mesh.replica()}, {"data", &mesh.data()}}};
  const int per_node = mesh.place().ranks_on_node;
  for (const auto& [axis, communicator] : axes) {
    if (communicator != &group) continue;
    for (const MeshGroup& each : mesh_groups(mesh.shape())) {
      if (each.axis != axis || !each.contains(mesh.rank())) continue;
      std::set<int> nodes;
      for (const int member : each.members) nodes.insert(member / per_node);
      return {.ranks = group.size(), .nodes = static_cast<int>(nodes.size())};
    }
  }
  throw Error(fmt::format("expected a group of data-parallel ranks, found another one of {}", group.size()));
}

class StepSimulation {
 public:
  StepSimulation(const TrainingShape& shape, Mesh& mesh, const ScalingMachine& machine)
      : shape_(&shape), mesh_(&mesh), machine_(&machine), units_(lay_out_ranges(shape.model, shape.store, mesh)) {}

  SimulatedStep run() {
    for (std::int64_t micro = 0; micro < shape_->batch.accumulation; ++micro) {
      pass_forward();
      pass_backward(micro + 1 == shape_->batch.accumulation);
    }
    wait(sent_);
    update();
    step_.waiting_s = std::max(0.0, now_ - step_.passes_s - step_.updating_s);
    return step_;
  }

 private:
  /// A unit's turn in the forward pass. The head's table may be the embedding's.
  struct Visit {
    std::size_t unit = 0;
    double flops = 0.0;  // of the forward pass of a micro batch; a table is only looked up
  };

  std::vector<Visit> visits() const {
    const auto tokens = static_cast<double>(shape_->batch.micro_batch * shape_->sequence_length);
    const auto attention = static_cast<double>(4 * shape_->spec.query_width() * shape_->sequence_length);
    std::vector<Visit> found{{.unit = 0}};
    std::int64_t others = multiplied_parameters(shape_->spec);
    for (std::int64_t layer = 0; layer < shape_->spec.layers; ++layer) {
      const std::size_t unit = found.size();
      others -= shape_->model[unit].count();
      found.push_back({unit, tokens * (2.0 * static_cast<double>(shape_->model[unit].count()) + attention)});
    }
    found.push_back({head_unit(shape_->spec), tokens * 2.0 * static_cast<double>(others)});
    return found;
  }

  void compute(double flops) {
    const double seconds = flops / machine_->flops_per_second;
    step_.passes_s += seconds;
    now_ += seconds;
  }
  void wait(double until) { now_ = std::max(now_, until); }

  /// Behind what is being sent, not before now.
  void send(const Communicator& group, std::int64_t bytes, int times = 1) {
    const double seconds = times * collective_seconds(*machine_, span_of(group, *mesh_), mesh_->place().ranks_on_node,
                                                      static_cast<double>(bytes));
    sent_ = std::max(sent_, now_) + seconds;
    if (machine_->sending == Sending::in_turns) wait(sent_);
  }

  /// When the unit's values are there.
  double gather(std::size_t unit) {
    for (const ShardedRange& range : units_[unit])
      if (!range.value_is_whole())
        send(*range.plan.parameter.shard,
             range.value_is_common() ? 0 : bytes_of(range.layout.storage, range.layout.padded));
    return sent_;
  }
  bool is_prefetched(std::size_t unit) const { return shape_->model[unit].count() <= shape_->store.prefetch_elements; }

  /// Goes through `order`, whose units are gathered one ahead. A pass begins with a table, and ends with one for which
  /// no values are needed: the head's are, as soon as the backward pass begins.
  template <class Work>
  void pass(const std::vector<Visit>& order, const Work& work) {
    double ready = gather(order.front().unit);
    bool is_gathered = true;
    for (std::size_t place = 0; place < order.size(); ++place) {
      const bool ends = place + 1 == order.size();
      if (!ends) wait(is_gathered ? ready : gather(order[place].unit));
      is_gathered = place + 2 < order.size() && is_prefetched(order[place + 1].unit);
      if (is_gathered) ready = gather(order[place + 1].unit);
      work(order[place]);
    }
  }

  void pass_forward() {
    pass(visits(), [&](const Visit& visit) { compute(visit.flops); });
  }

  void pass_backward(bool is_last) {
    std::vector<Visit> order = visits();
    std::reverse(order.begin(), order.end());
    pass(order, [&](const Visit& visit) {
      compute(2.0 * visit.flops);
      const bool comes_again = visit.unit == 0 && visit.flops > 0.0;
      if (comes_again) return;
      for (const ShardedRange& range : units_[visit.unit]) reduce(range, is_last);
    });
  }

  void reduce(const ShardedRange& range, bool is_last) {
    if (!range.layout.trainable) return;
    const std::int64_t whole = bytes_of(DType::f32, range.layout.padded);
    send(*range.plan.gradient.shard, whole);
    if (!is_last) return;
    send(*range.plan.scatter, whole);
    send(*range.plan.combine, bytes_of(DType::f32, range.optimizer.count()), 2);
  }

  void update() {
    for (const auto& ranges : units_)
      for (const ShardedRange& range : ranges)
        if (range.layout.trainable && machine_->updated_bytes_per_second > 0.0)
          step_.updating_s += bytes_of_update(range.layout.storage) * static_cast<double>(range.optimizer.count()) /
                              machine_->updated_bytes_per_second;
    now_ += step_.updating_s;
    for (const auto& ranges : units_)
      for (const ShardedRange& range : ranges)
        if (range.layout.trainable) send(*range.plan.publish, bytes_of(range.layout.storage, range.layout.padded));
    wait(sent_);
  }

  const TrainingShape* shape_;
  Mesh* mesh_;
  const ScalingMachine* machine_;
  RangesByUnit units_;
  SimulatedStep step_;
  double now_ = 0.0;   // of computing
  double sent_ = 0.0;  // when all that was to be sent is there
};

}  // namespace

double bytes_of_update(DType storage) { return 4.0 + 28.0 + (storage == DType::f32 ? 0.0 : 2.0); }

double collective_seconds(const ScalingMachine& machine, const GroupSpan& group, int ranks_on_node, double bytes) {
  if (group.ranks == 1 || machine.link_bytes_per_second <= 0.0) return 0.0;
  double rate = machine.link_bytes_per_second;
  if (group.nodes > 1 && machine.network_bytes_per_second > 0.0) {
    const double members_on_node = static_cast<double>(group.ranks) / group.nodes;
    rate = std::min(rate, machine.network_bytes_per_second * members_on_node / ranks_on_node);
  }
  return machine.call_s + (group.ranks - group.nodes) * machine.link_hop_s + (group.nodes - 1) * machine.network_hop_s +
         bytes * (1.0 - 1.0 / group.ranks) / rate;
}

SimulatedStep simulate_step(const TrainingShape& shape, Mesh& mesh, const ScalingMachine& machine) {
  return StepSimulation(shape, mesh, machine).run();
}

}  // namespace ferula
