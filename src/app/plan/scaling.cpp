#include "app/plan/scaling.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "comm/node_place.hpp"
#include "device/counting_device.hpp"

namespace ferula {
namespace {

constexpr int kMostRanks = 65536;
constexpr std::int64_t kStages = 4;
constexpr double kAssumedMemoryShare = 0.8;  // of the data sheet's rate, that an update reaches
// What NCCL's own tuning model assumes of a ring with its protocol for large messages (src/graph/tuning.cc).
constexpr double kCallSeconds = 8.4e-6;
constexpr double kNvlinkHopSeconds = 3.4e-6, kPcieHopSeconds = 5.7e-6, kNetworkHopSeconds = 14e-6;
constexpr double kSlowestNvlink = 100.0;  // GB/s of one direction: below it cards are taken to be on PCIe

ScalingMachine machine_of(const GpuCardType& card, const Pace& pace, std::optional<double> network_gigabytes) {
  return {.flops_per_second = pace.measured ? pace.measured->pass_flops_per_second : pace.flops_per_second,
          .updated_bytes_per_second = kAssumedMemoryShare * 1e9 * card.memory_gigabytes,
          .link_bytes_per_second = 1e9 * card.link_gigabytes,
          .network_bytes_per_second = 1e9 * network_gigabytes.value_or(card.network_gigabytes),
          .call_s = kCallSeconds,
          .link_hop_s = card.link_gigabytes < kSlowestNvlink ? kPcieHopSeconds : kNvlinkHopSeconds,
          .network_hop_s = kNetworkHopSeconds,
          .sending = Sending::beside_compute};
}

/// How much longer ranks take that share too few threads. Where these do not divide evenly among them, some ranks wait
/// for a thread while others wait for them: a part of the way from a fair share to whole turns, as measured.
double turns_of(double ranks, double threads) {
  constexpr double kUneven = 1.0 / 3;
  const double fair = ranks / threads;
  return ranks <= threads ? 1.0 : fair + kUneven * (std::ceil(fair) - fair);
}

/// Of ranks that share the threads of this host and its memory. What ranks do in turns takes longer, sending as well.
ScalingMachine machine_of_host(const Pace& pace, int ranks) {
  const MeasuredRun& run = *pace.measured;
  const double here = std::min(ranks, pace.ranks_on_node), threads = pace.threads_on_node;
  const double turns = turns_of(here, threads);
  ScalingMachine machine{.flops_per_second = run.pass_flops_per_second * std::max(1.0, threads / here) / turns,
                         .updated_bytes_per_second = run.updated_bytes_per_second / here,
                         .sending = Sending::in_turns};
  if (pace.seconds_per_byte && *pace.seconds_per_byte > 0.0)
    machine.link_bytes_per_second = 1.0 / (*pace.seconds_per_byte * turns);
  return machine;
}

std::string sending_on(const GpuCardType& card, const ScalingMachine& machine) {
  return fmt::format(
      "assumptions: {:g} GB/s between cards of a node, {:g} GB/s of a node to others; a collective takes {:g} us,\n"
      "               {:g} us a hop within a node and {:g} us between nodes; beside computing "
      "(overlap_comm)",
      card.link_gigabytes, machine.network_bytes_per_second / 1e9, 1e6 * machine.call_s, 1e6 * machine.link_hop_s,
      1e6 * machine.network_hop_s);
}

std::string sending_on_host(const Pace& pace) {
  if (!pace.seconds_per_byte) return "left out: no run of several ranks has been measured here";
  return fmt::format("{}; in turns with computing, since the same threads do both", pace.sending);
}

class Forecaster {
 public:
  Forecaster(const Plan& plan, const ScalingRequest& request)
      : plan_(&plan),
        request_(&request),
        config_(plan.is_for_cards() ? plan.on_cards : plan.config),
        device_(make_counting_device(ledger_)),
        ops_(make_cpu_ops(*device_)) {}

  ScalingForecast forecast() {
    require_rates();
    ScalingForecast found{
        .place = plan_->place,
        .computing = plan_->pace.computing,
        .sending = plan_->is_for_cards() ? sending_on(card(), machine(1)) : sending_on_host(plan_->pace),
        .ranks = request_->ranks,
        .samples_of_rank = samples_of_rank(),
        .alone = layout(0, 0, 1).step,
        .rows = {}};
    for (std::int64_t stage = 0; stage < kStages; ++stage)
      found.rows.push_back({.name = fmt::format("stage {}", stage), .stage = stage, .shard = 0, .layouts = {}});
    const int per_node = plan_->ranks_on_node;
    if (per_node > 1 && request_->ranks.back() > per_node)
      found.rows.push_back({.name = fmt::format("hybrid, {} ranks a copy", per_node),
                            .stage = kStages - 1,
                            .shard = per_node,
                            .layouts = {}});
    for (ScalingRow& row : found.rows) fill(row, found.alone);
    return found;
  }

 private:
  const GpuCardType& card() const { return plan_->cards.front().type; }
  ScalingMachine machine(int ranks) const {
    return plan_->is_for_cards() ? machine_of(card(), plan_->pace, request_->network_gigabytes)
                                 : machine_of_host(plan_->pace, ranks);
  }
  std::int64_t samples_of_rank() const { return plan_->own().micro_batch * plan_->own().accumulation; }

  void require_rates() const {
    const bool knows = plan_->is_for_cards() ? plan_->pace.flops_per_second > 0.0 : plan_->pace.measured.has_value();
    if (knows) return;
    throw ConfigError(
        fmt::format("--scaling needs to know how fast ranks compute, found: {}; --card NAME plans for GPUs",
                    plan_->pace.computing));
  }

  ScaledLayout layout(std::int64_t stage, int shard, int ranks) {
    Config config = config_;
    config.training.train_batch_size = samples_of_rank() * ranks;
    config.zero_optimization.shard_size = shard == 0 ? "all" : std::to_string(shard);
    const FitPlanner planner(config, plan_->spec, *device_, *ops_, plan_->ranks_on_node);
    const std::int64_t micro_batch = plan_->own().micro_batch;
    ScaledLayout found{.ranks = ranks,
                       .step = planner.simulate(stage, ranks, micro_batch, machine(ranks)),
                       .bytes = planner.layout(stage, ranks, micro_batch).bytes()};
    const std::optional<std::int64_t> room = plan_->room(ranks);
    found.fits = !room || found.bytes <= *room;
    return found;
  }

  void fill(ScalingRow& row, const SimulatedStep& alone) {
    for (const int ranks : request_->ranks) {
      if (row.shard > 0 && (ranks <= row.shard || ranks % row.shard != 0)) {
        row.layouts.emplace_back();
        continue;
      }
      ScaledLayout found = layout(row.stage, row.shard, ranks);
      // Ranks on a host share what one has alone.
      const int sharers = plan_->is_for_cards() ? 1 : std::min(ranks, plan_->ranks_on_node);
      found.efficiency = alone.total() * sharers / found.step.total();
      row.layouts.emplace_back(found);
    }
  }

  const Plan* plan_;
  const ScalingRequest* request_;
  Config config_;
  MemoryLedger ledger_;
  std::unique_ptr<Device> device_;
  std::unique_ptr<Ops> ops_;
};

}  // namespace

std::vector<int> scaling_ranks(const std::string& words) {
  std::vector<int> counts;
  const char* at = words.data();
  const char* const end = at + words.size();
  bool is_list = !words.empty();
  while (is_list && at < end) {
    int count = 0;
    const auto parsed = std::from_chars(at, end, count);
    is_list = parsed.ec == std::errc() && count >= 1 && count <= kMostRanks &&
              (counts.empty() || count > counts.back()) &&
              (parsed.ptr == end || (*parsed.ptr == ',' && parsed.ptr + 1 < end));
    counts.push_back(count);
    at = parsed.ptr == end ? end : parsed.ptr + 1;
  }
  if (!is_list)
    throw ConfigError(fmt::format("--scaling: expected ascending numbers of ranks up to {}, as 8,64,512, found '{}'",
                                  kMostRanks, words));
  return counts;
}

ScalingForecast foresee_scaling(const Plan& plan, const ScalingRequest& request) {
  set_compute_threads(1);
  return Forecaster(plan, request).forecast();
}

}  // namespace ferula
