// Collectives of f32 in turns with Open MPI's, in one MPI program: Ferula with operands in its own buffers and in
// private memory, Open MPI with private memory. bytes=N (of the whole tensor) rounds=N.
#include <mpi.h>

#include <functional>

#include "arguments.hpp"
#include "base/narrow.hpp"
#include "comm/mpi_transport.hpp"
#include "samples.hpp"

namespace ferula::bench {
namespace {

/// Ferula and Open MPI on the same group, and a tensor for each way to hold one.
class Group {
 public:
  Group(MpiEnvironment& mpi, std::int64_t bytes)
      : device_(make_cpu_device(ledger_)),
        stream_(device_->make_stream()),
        mesh_(make_mpi_transport(mpi), MeshShape{.shard = mpi.size()}, *device_),
        window_(mesh_.world().allocate(bytes, MemoryKind::buffers)),
        private_(device_->allocate(bytes, MemoryKind::buffers)),
        private_part_(device_->allocate(bytes / mpi.size(), MemoryKind::buffers)) {}

  Communicator& world() { return mesh_.world(); }
  Stream& stream() { return *stream_; }
  TensorView window() { return window_.flat(DType::f32); }
  TensorView own() { return private_.flat(DType::f32); }
  TensorView own_part() { return private_part_.flat(DType::f32); }
  TensorView part_of(TensorView whole) {
    const std::int64_t count = whole.count() / world().size();
    return whole.range(world().rank() * count, count);
  }
  int count() { return narrow<int>(own().count()); }
  int part_count() { return narrow<int>(own_part().count()); }

  /// Seconds of the slowest rank from a common start, and the processor time of all ranks.
  Cost timed(const std::function<void()>& call) {
    barrier(world(), stream());
    MPI_Barrier(MPI_COMM_WORLD);
    const Cost cost = cost_of([&] {
      call();
      stream().synchronize();
    });
    return {agree_max(world(), stream(), cost.seconds), agree_sum(world(), stream(), cost.processor_seconds)};
  }

 private:
  MemoryLedger ledger_;
  std::unique_ptr<Device> device_;
  std::unique_ptr<Stream> stream_;
  Mesh mesh_;
  Buffer window_, private_, private_part_;
};

/// One collective on a tensor of Ferula's, and the same by MPI.
struct Collective {
  std::string name;
  double bus_share;  // of the tensor's bytes that cross each rank's link
  std::function<void(Group&, TensorView whole)> ferula;
  std::function<void(Group&)> mpi;
};

std::vector<Collective> collectives(int ranks) {
  const double others = static_cast<double>(ranks - 1) / ranks;
  return {
      {"all-reduce", 2 * others,
       [](Group& group, TensorView whole) { group.world().all_reduce(group.stream(), whole, ReduceOp::sum); },
       [](Group& group) {
         MPI_Allreduce(MPI_IN_PLACE, group.own().data, group.count(), MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
       }},
      {"all-gather", others,
       [](Group& group, TensorView whole) { group.world().all_gather(group.stream(), group.part_of(whole), whole); },
       [](Group& group) {
         MPI_Allgather(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, group.own().data, group.part_count(), MPI_FLOAT,
                       MPI_COMM_WORLD);
       }},
      {"reduce-scatter", others,
       [](Group& group, TensorView whole) {
         group.world().reduce_scatter(group.stream(), whole, group.part_of(whole), ReduceOp::sum);
       },
       [](Group& group) {
         MPI_Reduce_scatter_block(group.own().data, group.own_part().data, group.part_count(), MPI_FLOAT, MPI_SUM,
                                  MPI_COMM_WORLD);
       }},
      {"broadcast", 1.0, [](Group& group, TensorView whole) { group.world().broadcast(group.stream(), whole, 0); },
       [](Group& group) { MPI_Bcast(group.own().data, group.count(), MPI_FLOAT, 0, MPI_COMM_WORLD); }},
  };
}

void measure(Group& group, const Collective& each, std::int64_t bytes, std::int64_t rounds) {
  const double crossing = each.bus_share * static_cast<double>(bytes);
  const std::string row = fmt::format("{} {} KiB", each.name, bytes >> 10);
  for (std::int64_t round = -2; round < rounds; ++round) {
    const Cost window = group.timed([&] { each.ferula(group, group.window()); });
    const Cost own = group.timed([&] { each.ferula(group, group.own()); });
    const Cost mpi = group.timed([&] { each.mpi(group); });
    if (round < 0 || group.world().rank() != 0) continue;
    print_sample(row, "ferula", crossing, "B", window);
    print_sample(row + ", private", "ferula", crossing, "B", own);
    print_sample(row, "Open MPI", crossing, "B", mpi);
    print_sample(row + ", private", "Open MPI", crossing, "B", mpi);
  }
}

void run(const Arguments& arguments) {
  MpiEnvironment mpi;
  const std::int64_t bytes = round_up(arguments.number("bytes", 64 << 20), 64 * mpi.size());
  Group group(mpi, bytes);
  for (const Collective& each : collectives(mpi.size())) measure(group, each, bytes, arguments.number("rounds", 15));
}

}  // namespace
}  // namespace ferula::bench

int main(int count, char** words) { return ferula::bench::run_program(count, words, ferula::bench::run); }
