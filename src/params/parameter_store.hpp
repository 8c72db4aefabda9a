// Owns values, gradients and optimizer state of a model in flat ranges, and moves them between ranks as the ZeRO plan
// says. Model code asks for a unit's whole values and hands back its gradient; it knows no ranks.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ops/execution.hpp"
#include "params/flat_layout.hpp"
#include "params/offloaded_update.hpp"
#include "params/param_spec.hpp"
#include "params/store_memory.hpp"
#include "params/unit_pool.hpp"

namespace ferula {

class ParameterStore;

/// Whether more micro batches of this step add to a unit's gradient. `partial` is always right, and leaves the sum over
/// the ranks to `finish_gradients`; `complete` lets it run beside the rest of the backward pass.
enum class GradientState : std::uint8_t { partial, complete };

/// Of a lease: its unit's values, or a gradient.
enum class LeaseKind : std::uint8_t { values, gradient };

/// Where a product goes that is part of a gradient: over what is there, or onto it.
struct GradientTarget {
  TensorView sum;
  Accumulate accumulate = Accumulate::add;
};

/// Whole tensors of one unit (values, or the gradient contribution of one micro batch) while it lives. Move-only.
class UnitLease {
 public:
  UnitLease() = default;
  UnitLease(ParameterStore* store, std::size_t unit, std::size_t slot, const std::vector<TensorView>* tensors,
            LeaseKind kind = LeaseKind::values)
      : store_(store), unit_(unit), slot_(slot), tensors_(tensors), kind_(kind) {}
  UnitLease(UnitLease&& other) noexcept;
  UnitLease& operator=(UnitLease&& other) noexcept;
  UnitLease(const UnitLease&) = delete;
  UnitLease& operator=(const UnitLease&) = delete;
  ~UnitLease() { release(); }

  /// Tensor `param` of the unit in the shape of its ParamSpec. In a gradient lease f32, and empty where frozen.
  TensorView tensor(std::size_t param) const;
  /// Tensors first … first + n − 1, which are joined, as one of [sum of first dims, rest].
  TensorView joined(std::size_t first, std::size_t n) const;
  /// The same of a gradient for who fills all of it at once: it need not be zeroed before.
  GradientTarget target(std::size_t first, std::size_t n) const;
  /// The same as a linear layer's weight, with its packed form where the store keeps one.
  WeightView weight(std::size_t first, std::size_t n = 1) const;
  std::size_t unit() const { return unit_; }
  std::size_t slot() const { return slot_; }
  explicit operator bool() const { return store_ != nullptr; }
  void release();

 private:
  TensorView view_of(std::size_t first, std::size_t n) const;

  ParameterStore* store_ = nullptr;
  std::size_t unit_ = 0;
  std::size_t slot_ = 0;
  const std::vector<TensorView>* tensors_ = nullptr;
  LeaseKind kind_ = LeaseKind::values;
};

/// The roles of state in checkpoints: "value" (storage dtype), and those of the optimizer.
struct StateRole {
  std::string name;  // value, master, exp_avg, exp_avg_sq, momentum
  DType dtype = DType::f32;
};

/// A contiguous piece of one tensor that this rank owns (each element has exactly one owner among the ranks).
struct OwnedPiece {
  std::string tensor;
  Shape global_shape;
  std::string role;
  std::int64_t offset = 0;  // first element within the flattened tensor
  TensorView data;          // one-dimensional
};

/// What `update` needs to know of this step.
struct OptimizerStep {
  double learning_rate = 0.0;
  double gradient_scale = 1.0;  // clipping: the gradient is multiplied by it
  std::int64_t step = 1;        // 1 in the first step, for bias correction
};

class ParameterStore {
 public:
  /// Collective. Allocates this rank's pieces; the values are undefined until `initialize` or a checkpoint is read.
  ParameterStore(ModelSpec model, const StoreSettings& settings, Mesh& mesh, Execution& execution);
  ~ParameterStore();

  const ModelSpec& model() const;

  // --- a step, called by all ranks in the same order ----------------------------------------------------------------
  /// Whole values of a unit, valid while the lease lives. An all-gather where values are partitioned, else an alias.
  UnitLease acquire(std::size_t unit);
  /// Starts the all-gather of a unit that is needed next; harmless where nothing is to be done.
  void prefetch(std::size_t unit);
  /// Memory for one micro batch's gradient of a unit; zero, or holding earlier micro batches where it is kept whole.
  /// Operations add to it. May be held over the leases of other units (tied weights).
  UnitLease gradient(std::size_t unit);
  /// Adds the contribution into this rank's part of the gradient: a reduce-scatter over gradient.shard. A complete
  /// gradient is also summed over gradient.replica, and must not be added to again in this step.
  void reduce(UnitLease contribution, GradientState state);
  void zero_gradients();
  /// After the last micro batch: sums what is not complete yet. This rank's optimizer piece then holds the sum over
  /// all ranks.
  void finish_gradients();
  /// L2 norm of the whole gradient, each element counted once; the same bits on every rank.
  double gradient_norm();
  /// The optimizer on this rank's piece, then all values are up to date on every rank.
  void update(const OptimizerStep& step);

  /// What this rank keeps in the host's memory beside what the device's ledger counts.
  const MemoryLedger& host_ledger() const { return memory_.host_ledger(); }

  // --- state ------------------------------------------------------------------------------------------------------
  /// Fills values (and masters) from each tensor's name, never from a rank.
  void initialize(std::uint64_t seed);
  /// Roles that a checkpoint of this model holds, "value" first.
  std::vector<StateRole> roles() const;
  /// The pieces that this rank owns, each element of each role exactly once among all ranks of the job. Waits for the
  /// work on the state that was given so far, so that they can be copied.
  std::vector<OwnedPiece> owned_pieces() const;
  /// The pieces that this rank must read to be complete (a superset of the owned ones). Waits as well.
  std::vector<OwnedPiece> needed_pieces() const;
  /// After `needed_pieces` were filled from a checkpoint: brings all derived copies up to date. Collective.
  /// `has_optimizer_state`: false when only values were read (masters are then made from the values).
  void adopt_loaded_state(bool has_optimizer_state);

 private:
  friend class UnitLease;
  /// Throws nothing: leases end also while an error is under way.
  void release(std::size_t unit, std::size_t slot) noexcept;
  /// Whether nothing has been added to that tensor's gradient in this step (or contribution); from now on it has.
  bool begins(std::size_t unit, std::size_t param) { return std::exchange(untouched_[unit][param], 0) != 0; }
  /// Announces that the gradients of a range at `whole` are zero, without writing more than its padding.
  void clear_gradients(const ShardedRange& range, TensorView whole);
  /// Writes the zeros of those tensors of a range to which nothing was added.
  void write_zeros(const ShardedRange& range, const std::vector<TensorView>& gradients);
  PreparedWeight* prepared(std::size_t unit, std::size_t param, const TensorView& values);
  void start_gather(std::size_t unit, std::size_t slot);
  /// Sees to it that all ranks have come to the use of a unit's values, where these lie in common memory.
  void meet_for_values(std::size_t unit);
  /// Values have changed: what was gathered of them is out of date.
  void forget_gathered();
  void reduce_slot(UnitLease contribution);
  void finish(ShardedRange& range);
  void publish_values();
  void come_to_rest() const;
  /// Brings a master that was made elsewhere (`reachable_master`) to its place.
  void keep_master(const ShardedRange& range);
  void write_step_scalars(const OptimizerStep& step);

  ModelSpec model_;
  StoreSettings settings_;
  Execution* execution_;
  StoreMemory memory_;
  UnitPool gathered_;                                    // slots 0 … of value leases
  std::map<std::size_t, Event> met_;                     // by unit, until it is acquired
  UnitPool contributions_;                               // slots kFirstContribution … of gradient leases
  std::vector<std::vector<TensorView>> kept_values_;     // by unit: views of tensors that stay whole
  std::vector<std::vector<TensorView>> kept_gradients_;  // by unit
  std::vector<std::vector<char>> untouched_;  // by unit and param: the gradient counts as zero, whatever lies there
  std::map<std::pair<std::size_t, std::size_t>, std::unique_ptr<PreparedWeight>> prepared_;  // by (unit, first param)
  std::uint64_t version_ = 0;                                                                // of the values
  Communicator* norm_group_;  // ranks whose optimizer pieces together are the whole model
  Buffer step_scalars_;       // f32[kStepScalars]: a stable address
  Buffer host_scalars_;       // the same, where the host writes them
  Event scalars_fetched_{};   // from there
  Buffer norm_total_;         // f64[1]
  OffloadedUpdate offloaded_update_;
};

}  // namespace ferula
