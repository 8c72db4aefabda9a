// Collectives of f32 in turns with Open MPI's, in one MPI program: Ferula with operands in its own buffers, in private
// memory and, where something is gathered, in memory that the ranks have in common; Open MPI with private memory. Large
// ones beside streaming memory, too. bytes=N (of the whole tensor) rounds=N ceiling_bytes=N.
#include <mpi.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <numeric>

#include "arguments.hpp"
#include "base/narrow.hpp"
#include "ceilings.hpp"
#include "comm/mpi_transport.hpp"
#include "samples.hpp"

namespace ferula::bench {
namespace {

/// Ferula and Open MPI on the same group, and a tensor for each way to hold one.
class Group {
  static constexpr std::int64_t kWordGap = 256;  // bytes: lines that no prefetcher takes together

 public:
  Group(MpiEnvironment& mpi, std::int64_t bytes)
      : device_(make_cpu_device(ledger_)),
        stream_(device_->make_stream()),
        mesh_(make_mpi_transport(mpi), MeshShape{.shard = mpi.size()}, *device_),
        window_(mesh_.world().allocate(bytes, MemoryKind::buffers)),
        common_(mesh_.world().allocate_common(bytes, MemoryKind::buffers)),
        private_(device_->allocate(bytes, MemoryKind::buffers)),
        private_part_(device_->allocate(bytes / mpi.size(), MemoryKind::buffers)),
        words_(mesh_.world().allocate_common(2 * kWordGap, MemoryKind::buffers)) {}

  Communicator& world() { return mesh_.world(); }
  Stream& stream() { return *stream_; }
  TensorView window() { return window_.flat(DType::f32); }
  TensorView common() { return common_.flat(DType::f32); }
  TensorView own() { return private_.flat(DType::f32); }
  TensorView own_part() { return private_part_.flat(DType::f32); }
  TensorView part_of(TensorView whole) {
    const std::int64_t count = whole.count() / world().size();
    return whole.range(world().rank() * count, count);
  }
  int count() { return narrow<int>(own().count()); }
  int part_count() { return narrow<int>(own_part().count()); }

  /// Seconds that a word takes from rank 0 to rank 1 and back: where the host of a virtual machine has put the cores of
  /// both decides over more than any collective's algorithm.
  double apart() {
    constexpr int kTrips = 500;
    const auto word = [&](int rank) {
      return std::atomic_ref<std::int32_t>(*reinterpret_cast<std::int32_t*>(words_.data() + rank * kWordGap));
    };
    const int rank = world().rank(), last = trips_ + kTrips;
    barrier(world(), stream());
    const Stopwatch watch;
    for (; trips_ < last; ++trips_) {
      if (rank == 0) word(0).store(trips_ + 1);
      if (rank < 2)
        while (word(1 - rank).load() != trips_ + 1) continue;
      if (rank == 1) word(1).store(trips_ + 1);
    }
    return agree_max(world(), stream(), rank == 0 ? watch.seconds() / kTrips : 0.0);
  }

  /// Seconds of the slowest rank from a common start, and the processor time of all ranks, of so many calls in a row.
  /// Some before them, where they are many, meet again after whatever lies between two slices.
  Cost timed(std::int64_t calls, const std::function<void()>& call) {
    for (std::int64_t each = 0; each < calls / 5; ++each) call();
    stream().synchronize();
    barrier(world(), stream());
    MPI_Barrier(MPI_COMM_WORLD);
    const Cost cost = cost_of([&] {
      for (std::int64_t each = 0; each < calls; ++each) {
        call();
        stream().synchronize();
      }
    });
    return {agree_max(world(), stream(), cost.seconds), agree_sum(world(), stream(), cost.processor_seconds)};
  }

 private:
  MemoryLedger ledger_;
  std::unique_ptr<Device> device_;
  std::unique_ptr<Stream> stream_;
  Mesh mesh_;
  int trips_ = 0;  // of words between ranks 0 and 1, so far
  Buffer window_, common_, private_, private_part_, words_;
};

/// Whose turn it is to be the root: nobody can run ahead, as the root of broadcasts in a row does that does not wait.
class Turns {
 public:
  explicit Turns(int ranks) : ranks_(ranks) {}
  int next() { return turn_++ % ranks_; }

 private:
  int ranks_;
  int turn_ = 0;
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
      {"broadcast", 1.0,
       [turns = Turns(ranks)](Group& group, TensorView whole) mutable {
         group.world().broadcast(group.stream(), whole, turns.next());
       },
       [turns = Turns(ranks)](Group& group) mutable {
         MPI_Bcast(group.own().data, group.count(), MPI_FLOAT, turns.next(), MPI_COMM_WORLD);
       }},
  };
}

/// In a slice, so that one of few bytes lasts long enough to be timed.
std::int64_t calls_per_slice(std::int64_t bytes) { return std::clamp<std::int64_t>((1 << 20) / bytes, 1, 500); }

std::string size_in_words(std::int64_t bytes) {
  return bytes < 1024 ? fmt::format("{} B", bytes) : fmt::format("{} KiB", bytes >> 10);
}

void measure(Group& group, const Collective& each, std::int64_t bytes, std::int64_t rounds) {
  const std::int64_t calls = calls_per_slice(bytes);
  const double crossing = each.bus_share * static_cast<double>(bytes * calls);
  const std::string row = fmt::format("{} {}", each.name, size_in_words(bytes));
  for (std::int64_t round = -2; round < rounds; ++round) {
    const double apart = group.apart();
    const Cost window = group.timed(calls, [&] { each.ferula(group, group.window()); });
    const Cost own = group.timed(calls, [&] { each.ferula(group, group.own()); });
    const Cost mpi = group.timed(calls, [&] { each.mpi(group); });
    if (round < 0 || group.world().rank() != 0) continue;
    print_sample(row, "ferula", crossing, "B", window, apart);
    print_sample(row + ", private", "ferula", crossing, "B", own, apart);
    print_sample(row, "Open MPI", crossing, "B", mpi);
    print_sample(row + ", private", "Open MPI", crossing, "B", mpi);
  }
}

std::span<std::int32_t> words_of(const TensorView& tensor) {
  return TensorView(tensor.data, DType::i32, {tensor.count()}).span<std::int32_t>();
}

/// Looks at every word once, as whoever gathers does at least, and checks that all parts are there: those of rank r
/// hold r + 1.
void look_at(const TensorView& gathered, int ranks) {
  const std::span<const std::int32_t> words = words_of(gathered);
  const std::int64_t sum = std::accumulate(words.begin(), words.end(), std::int64_t{0});
  FERULA_CHECK(2 * sum == std::ssize(words) * (ranks + 1), "gathered words have a sum of {}", sum);
}

/// A gather in common memory, which moves nothing: alone, and with the first look at the result on both sides.
void measure_in_common(Group& group, const Collective& gather, std::int64_t bytes, std::int64_t rounds) {
  const std::int64_t calls = calls_per_slice(bytes);
  const double crossing = gather.bus_share * static_cast<double>(bytes * calls);
  const std::string row = fmt::format("{} {}, common", gather.name, size_in_words(bytes));
  const int ranks = group.world().size();
  for (const TensorView& whole : {group.common(), group.own()}) {
    const std::span<std::int32_t> mine = words_of(group.part_of(whole));
    std::fill(mine.begin(), mine.end(), group.world().rank() + 1);
  }
  for (std::int64_t round = -2; round < rounds; ++round) {
    const double apart = group.apart();
    const Cost ours = group.timed(calls, [&] { gather.ferula(group, group.common()); });
    const Cost theirs = group.timed(calls, [&] { gather.mpi(group); });
    const Cost ours_seen = group.timed(calls, [&] {
      gather.ferula(group, group.common());
      look_at(group.common(), ranks);
    });
    const Cost theirs_seen = group.timed(calls, [&] {
      gather.mpi(group);
      look_at(group.own(), ranks);
    });
    if (round < 0 || group.world().rank() != 0) continue;
    print_sample(row, "ferula", crossing, "B", ours, apart);
    print_sample(row, "Open MPI", crossing, "B", theirs);
    print_sample(row + " and read", "ferula", crossing, "B", ours_seen, apart);
    print_sample(row + " and read", "Open MPI", crossing, "B", theirs_seen);
  }
}

/// The bytes of all ranks that such a call must touch: those of an all-reduce are read and written in place, an
/// all-gather reads what the others have and writes it. Of a reduce-scatter only those that it reads, which bound it:
/// with two ranks they are twice what it writes.
double touched_bytes(const Collective& each, int ranks, std::int64_t bytes) {
  const double all = static_cast<double>(ranks * bytes);
  if (each.name == "reduce-scatter") return all;
  return 2.0 * (each.name == "all-reduce" ? all : all * (ranks - 1) / ranks);
}

/// Beside streams through other memory: in place, or of what mostly reads those that read. Each follows itself, since
/// what the one has left in the caches the other would have to write back.
void measure_beside_memory(Group& group, const Collective& each, std::int64_t bytes, std::int64_t ceiling_bytes,
                           std::int64_t rounds) {
  MemoryLedger ledger;
  const auto device = make_cpu_device(ledger);
  StreamingCeiling memory(*device, ceiling_bytes, [&](const auto& call) { return group.timed(1, call); });
  const bool reads = each.name == "reduce-scatter";
  const std::string row = fmt::format("{} {}, {}", each.name, size_in_words(bytes), reads ? "reading" : "memory");
  const int ranks = group.world().size();
  const auto second = [&](const std::function<void()>& call) {
    call();
    return group.timed(1, call);
  };
  for (std::int64_t round = -2; round < rounds; ++round) {
    const double apart = group.apart();
    const Cost moved = second([&] { each.ferula(group, group.window()); });
    const Cost streamed = second([&] { reads ? memory.read() : memory.sweep(); });
    if (round < 0 || group.world().rank() != 0) continue;
    print_sample(row, "ferula", touched_bytes(each, ranks, bytes), "B", moved, apart);
    print_sample(row, reads ? "reading alone" : "ceiling", ranks * (reads ? memory.read_bytes() : memory.sweep_bytes()),
                 "B", streamed);
  }
}

void run(const Arguments& arguments) {
  MpiEnvironment mpi;
  const std::int64_t rounds = arguments.number("rounds", 15);
  const std::int64_t bytes =
      round_up(arguments.number("bytes", 64 << 20), static_cast<std::int64_t>(sizeof(float)) * mpi.size());
  Group group(mpi, bytes);
  const std::int64_t ceiling_bytes = arguments.number("ceiling_bytes", 0);
  for (const Collective& each : collectives(mpi.size())) {
    measure(group, each, bytes, rounds);
    if (each.name == "all-gather") measure_in_common(group, each, bytes, rounds);
    if (ceiling_bytes > 0 && each.name != "broadcast") measure_beside_memory(group, each, bytes, ceiling_bytes, rounds);
  }
}

}  // namespace
}  // namespace ferula::bench

int main(int count, char** words) { return ferula::bench::run_program(count, words, ferula::bench::run); }
