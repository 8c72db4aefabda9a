#include "app/jobs/job_probes.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <functional>
#include <limits>
#include <map>
#include <span>
#include <thread>

#include "app/gpu_library.hpp"
#include "app/version.hpp"
#include "base/stopwatch.hpp"
#include "comm/mpi_environment.hpp"
#include "comm/node_place.hpp"

namespace ferula {
namespace {

constexpr int kRepetitions = 5;
constexpr std::int64_t kMatrixSide = 768;
constexpr std::int64_t kCopyBytes = std::int64_t{64} << 20;
constexpr std::int64_t kLinkBytes = std::int64_t{8} << 20;
constexpr std::size_t kFileBytes = std::size_t{8} << 20;
constexpr auto kFileAppears = std::chrono::seconds(3);  // a network file system may show a new file late

/// A rank as it travels.
struct RankProbe {
  std::array<char, 64> host{};
  CpuMask processors;
  double now_s = 0.0;
  std::int32_t sees_file = 1;
  std::array<double, 5> rates{};  // compute, memory, disk, link, latency
};

std::vector<RankProbe> probes_of_all(RankContext& context, RankProbe mine) {
  std::vector<RankProbe> all(static_cast<std::size_t>(context.mesh.size()));
  const auto view = [](std::span<RankProbe> some) {
    const auto bytes = std::as_writable_bytes(some);
    return TensorView(bytes.data(), DType::u8, {std::ssize(bytes)});
  };
  Stream& stream = context.execution.communication;
  context.mesh.world().all_gather(stream, view({&mine, 1}), view(all));
  stream.synchronize();
  return all;
}

/// The best of some repetitions, which all ranks begin together: the least that others disturbed.
double best_seconds(RankContext& context, const std::function<void()>& work) {
  double best = std::numeric_limits<double>::max();
  for (int repetition = 0; repetition < kRepetitions; ++repetition) {
    barrier(context.mesh.world(), context.execution.communication);
    const Stopwatch watch;
    work();
    best = std::min(best, watch.seconds());
  }
  return best;
}

double compute_gigaflops(RankContext& context) {
  Execution& execution = context.execution;
  const std::int64_t bytes = kMatrixSide * kMatrixSide * bytes_of(DType::f32);
  const Buffer x = execution.device.allocate(bytes, MemoryKind::buffers);
  const Buffer w = execution.device.allocate(bytes, MemoryKind::buffers);
  const Buffer y = execution.device.allocate(bytes, MemoryKind::buffers);
  const auto matrix = [](const Buffer& buffer) { return buffer.view(DType::f32, {kMatrixSide, kMatrixSide}); };
  execution.ops.fill_normal(execution.compute, x.flat(DType::f32), 1, 0, 1.0f);
  execution.ops.fill_normal(execution.compute, w.flat(DType::f32), 2, 0, 1.0f);
  const std::unique_ptr<PreparedWeight> prepared = execution.ops.make_prepared(kMatrixSide, kMatrixSide, DType::f32);
  const WeightView weight{.values = matrix(w), .prepared = prepared.get(), .version = 1};
  const double seconds = best_seconds(context, [&] {
    execution.ops.linear(execution.compute, matrix(x), weight, {}, matrix(y), Accumulate::overwrite);
    execution.compute.synchronize();
  });
  return 2.0 * kMatrixSide * kMatrixSide * kMatrixSide / seconds * 1e-9;
}

double memory_gigabytes(RankContext& context) {
  Execution& execution = context.execution;
  const Buffer from = execution.device.allocate(kCopyBytes, MemoryKind::buffers);
  const Buffer to = execution.device.allocate(kCopyBytes, MemoryKind::buffers);
  const double seconds = best_seconds(context, [&] {
    execution.ops.copy(execution.compute, from.flat(DType::f32), to.flat(DType::f32));
    execution.compute.synchronize();
  });
  return 2.0 * static_cast<double>(kCopyBytes) / seconds * 1e-9;
}

/// 0 where nothing can be written: that is another check's finding. One rank of each host writes.
double disk_megabytes(RankContext& context, const std::string& path) {
  if (context.mesh.place().rank_on_node != 0) return 0.0;
  const std::vector<std::byte> content(kFileBytes, std::byte{0x5a});
  const Stopwatch watch;
  try {
    const std::unique_ptr<File> file = context.files.open(path, OpenMode::create);
    file->write_at(0, content);
    file->sync();
  } catch (const Error&) {
    context.files.remove(path);
    return 0.0;
  }
  const double seconds = watch.seconds();
  context.files.remove(path);
  return static_cast<double>(kFileBytes) / seconds * 1e-6;
}

int next_rank(const Communicator& group) { return (group.rank() + 1) % group.size(); }

/// Every rank sends to the next and receives from the one before, all at once.
double link_gigabytes(RankContext& context) {
  Communicator& world = context.mesh.world();
  const int next = next_rank(world), before = (world.rank() + world.size() - 1) % world.size();
  if (next == world.rank()) return 0.0;
  Stream& stream = context.execution.communication;
  const Buffer sent = context.execution.device.allocate(kLinkBytes, MemoryKind::buffers);
  const Buffer received = context.execution.device.allocate(kLinkBytes, MemoryKind::buffers);
  const double seconds = best_seconds(context, [&] {
    world.group_begin();
    world.send(stream, sent.flat(DType::f32), next);
    world.receive(stream, received.flat(DType::f32), before);
    world.group_end();
    stream.synchronize();
  });
  return static_cast<double>(kLinkBytes) / seconds * 1e-9;
}

double latency_microseconds(RankContext& context) {
  Communicator& world = context.mesh.world();
  if (next_rank(world) == world.rank()) return 0.0;  // nobody to wait for
  return 1e6 * best_seconds(context, [&] { barrier(world, context.execution.communication); });
}

/// Whether this rank sees what rank 0 writes. Where rank 0 cannot write, that is another check's finding.
bool sees_first_ranks_file(RankContext& context, const std::string& directory) {
  Communicator& world = context.mesh.world();
  Stream& stream = context.execution.communication;
  const double process = agree_max(world, stream, context.mesh.rank() == 0 ? static_cast<double>(getpid()) : 0.0);
  const std::string path = join_path(directory, fmt::format(".ferula-doctor-shared-{:.0f}", process));
  bool is_written = false;
  if (context.mesh.rank() == 0) {
    try {
      write_file_atomically(context.files, path, "rank 0\n", Replace::existing);
      is_written = true;
    } catch (const Error&) {
      is_written = false;
    }
  }
  is_written = agree_max(world, stream, is_written ? 1.0 : 0.0) > 0.0;
  const Stopwatch watch;
  bool sees = !is_written || context.files.exists(path);
  while (!sees && watch.seconds() < std::chrono::duration<double>(kFileAppears).count()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    sees = context.files.exists(path);
  }
  barrier(world, stream);
  if (context.mesh.rank() == 0 && is_written) context.files.remove(path);
  return sees;
}

Rate rate_of(const std::vector<RankProbe>& all, int rank, std::size_t which) {
  std::vector<double> measured;
  for (const RankProbe& probe : all)
    if (probe.rates.at(which) > 0.0) measured.push_back(probe.rates.at(which));
  if (measured.empty()) return {};
  std::sort(measured.begin(), measured.end());
  return {.mine = all.at(static_cast<std::size_t>(rank)).rates.at(which), .median = measured[measured.size() / 2]};
}

/// Hosts, neighbours and the processors that they share.
void place(JobFacts& job, const std::vector<RankProbe>& all) {
  std::map<std::string, int> ranks_of_host;
  std::array<int, CpuMask().size()> users{};
  CpuMask of_node;
  const RankProbe& mine = all.at(static_cast<std::size_t>(job.rank));
  for (const RankProbe& probe : all) {
    ++ranks_of_host[probe.host.data()];
    if (std::string_view(probe.host.data()) != mine.host.data()) continue;
    of_node |= probe.processors;
    for (std::size_t processor = 0; processor < users.size(); ++processor)
      users[processor] += probe.processors[processor];
  }
  job.hosts = static_cast<int>(ranks_of_host.size());
  job.fewest_ranks_on_a_node = job.most_ranks_on_a_node = ranks_of_host[mine.host.data()];
  for (const auto& [host, ranks] : ranks_of_host) {
    job.fewest_ranks_on_a_node = std::min(job.fewest_ranks_on_a_node, ranks);
    job.most_ranks_on_a_node = std::max(job.most_ranks_on_a_node, ranks);
  }
  job.processors = static_cast<int>(mine.processors.count());
  job.processors_on_node = static_cast<int>(of_node.count());
  job.most_sharers = 0;
  for (std::size_t processor = 0; processor < users.size(); ++processor)
    if (mine.processors[processor]) job.most_sharers = std::max(job.most_sharers, users[processor]);
}

}  // namespace

JobFacts job_facts(RankContext& context, const Invocation& invocation, const std::string& directory, ProbeDepth depth) {
  RankProbe mine{.processors = allowed_cpus()};
  context.mesh.host().copy(mine.host.data(), mine.host.size() - 1);
  mine.sees_file = sees_first_ranks_file(context, directory) ? 1 : 0;
  if (depth == ProbeDepth::rates) {
    const std::string path =
        join_path(directory, fmt::format(".ferula-doctor-disk-{}-{}", context.mesh.host(), context.mesh.rank()));
    mine.rates = {compute_gigaflops(context), memory_gigabytes(context), disk_megabytes(context, path),
                  link_gigabytes(context), latency_microseconds(context)};
  }
  barrier(context.mesh.world(), context.execution.communication);  // clocks are read together
  mine.now_s = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  const std::vector<RankProbe> all = probes_of_all(context, mine);
  JobFacts job{.program = fmt::format("{} ({})", version(), revision()),
               .host = context.mesh.host(),
               .mpi_library = mpi_library(),
               .cuda_library = gpu_library().value_or(""),
               .directory = directory,
               .rank = context.mesh.rank(),
               .ranks = context.mesh.size(),
               .rank_on_node = context.mesh.place().rank_on_node,
               .ranks_on_node = context.mesh.place().ranks_on_node,
               .is_launched = invocation.kind == RankKind::mpi,
               .clock_offset_s = mine.now_s - all.front().now_s,
               .sees_first_ranks_file = mine.sees_file != 0};
  place(job, all);
  job.compute_gigaflops = rate_of(all, job.rank, 0);
  job.memory_gigabytes = rate_of(all, job.rank, 1);
  job.disk_megabytes = rate_of(all, job.rank, 2);
  job.link_gigabytes = rate_of(all, job.rank, 3);
  job.latency_microseconds = rate_of(all, job.rank, 4);
  return job;
}

}  // namespace ferula
