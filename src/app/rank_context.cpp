#include "app/rank_context.hpp"

#include <chrono>
#include <thread>
#include <utility>

#include "app/launch/launch_report.hpp"
#include "comm/mpi_environment.hpp"
#include "comm/mpi_transport.hpp"
#include "comm/node_place.hpp"
#include "comm/simulated_transport.hpp"

namespace ferula {
namespace {

/// Everything of one rank, in the order in which it depends on each other.
class Rank {
 public:
  Rank(std::unique_ptr<Mesh::Transport> transport, const Invocation& invocation, const RankSettings& settings)
      : ledger_(settings.memory_remedy),
        threads_(transport->place().threads),
        backend_(*settings.compute),
        gpus_(agree_on_gpus(*transport, backend_.gpu_of(transport->place()), settings.sharing)),
        device_(backend_.make_device(transport->place(), ledger_)),
        compute_(device_->make_stream()),
        files_(make_posix_file_system()),
        log_(transport->rank() == 0 ? LogVoice::speaks : LogVoice::silent, invocation.console),
        stop_(invocation.stop) {
    set_compute_threads(threads_);  // before anything computes
    ops_ = backend_.make_ops(*device_);
    mesh_ = std::make_unique<Mesh>(backend_.adapted(std::move(transport)), settings.shape, *device_, settings.mesh);
    if (settings.overlap == Overlap::on && settings.shape.ranks() != 1) {
      side_ = device_->make_side_stream("communication");
      side_->run([] { set_compute_threads(1); });  // the computation has the rank's cores
    }
  }

  /// Each stream may still wait for a point of the other one, so both are idle before the first of them goes.
  ~Rank() { drain(); }
  Rank(const Rank&) = delete;
  Rank& operator=(const Rank&) = delete;

  /// `end_collectives` ends what all ranks are at, while an error is caught.
  ExitCode run(const std::function<ExitCode(RankContext&)>& body, const std::function<void()>& end_collectives) {
    Execution execution{*device_, *ops_, *compute_, side_ ? *side_ : *compute_, phases_};
    bool is_ended = false;
    const std::function<void()> tell_and_end = [&] {
      if (std::exchange(is_ended, true)) return;
      log_.record("error: " + failure_of(std::current_exception()).message);  // the terminal hears it from `announce`
      end_collectives();
    };
    RankContext context{*mesh_, execution, *files_, log_, *stop_, threads_, backend_, gpus_, tell_and_end};
    try {
      return body(context);
    } catch (...) {
      tell_and_end();
      throw;
    }
  }

  std::string device() const { return device_->name(); }

  /// Ends the collectives that this rank's side stream and its peers may be waiting in.
  void abort(std::string_view reason) {
    for (Communicator* group :
         {&mesh_->world(), &mesh_->data(), &mesh_->replica(), &mesh_->shard(), &mesh_->pipeline(), &mesh_->tensor()})
      group->abort(reason);
  }

  /// Waits until no stream is at work on anything.
  void drain() {
    drain(*compute_);
    if (side_) drain(*side_);
  }

 private:
  static void drain(Stream& stream) noexcept {
    try {
      stream.synchronize();
    } catch (...) {  // has been told: it ended the body, or nobody asked for the work
    }
  }

  MemoryLedger ledger_;
  PhaseTimes phases_;
  int threads_;
  const ComputeBackend& backend_;
  std::vector<std::string> gpus_;
  std::unique_ptr<Device> device_;
  std::unique_ptr<Ops> ops_;
  std::unique_ptr<Stream> compute_;
  std::unique_ptr<FileSystem> files_;
  Log log_;
  const StopRequest* stop_;
  std::unique_ptr<Mesh> mesh_;
  std::unique_ptr<Stream> side_;  // its last collectives end before the communicators do
};

ExitCode run_simulated(const Invocation& invocation, const RankSettings& settings,
                       const std::function<ExitCode(RankContext&)>& body) {
  ExitCode code = ExitCode::done;
  run_simulated_ranks(invocation.ranks, [&](std::unique_ptr<Mesh::Transport> transport) {
    const bool first = transport->rank() == 0;
    Rank rank(std::move(transport), invocation, settings);
    const ExitCode mine = rank.run(body, [&] {
      rank.abort(failure_of(std::current_exception()).message);
      rank.drain();
    });
    if (first) code = mine;
  });
  return code;
}

/// Prints the failure and ends all ranks. What every rank finds alike, a mistake of the configuration or an error that
/// all agreed on, is told once: the others give rank 0 time to end the job.
[[noreturn]] void end_ranks(const MpiEnvironment& mpi, const Failure& failure, std::string_view device) {
  const bool alike = failure.is_shared || failure.code == ExitCode::usage;
  if (alike && mpi.rank() != 0) std::this_thread::sleep_for(std::chrono::seconds(5));
  const std::string who = fmt::format("rank {} of {} ({}, {}): ", mpi.rank(), mpi.size(), host_name(), device);
  announce({.message = (alike ? "" : who) + failure.message, .code = failure.code});
  mpi.abort(static_cast<int>(failure.code));
}

[[noreturn]] void end_job(const MpiEnvironment& mpi, const Invocation& invocation, const Failure& failure,
                          std::string_view device) {
  report_end(invocation.launch_report, failure.code);
  end_ranks(mpi, failure, device);
}

/// A launcher of another MPI starts programs that do not find each other.
void require_one_job(const MpiEnvironment& mpi, int started) {
  if (mpi.size() == started) return;
  const std::string library = mpi_library();
  throw CommError(fmt::format(
      "expected a job of {} ranks, as many as were started, found {} that know of each other: who started them is not "
      "of the program's MPI ({}). Start them with its own mpirun, or with `srun --mpi=pmix`; `ferula doctor` compares",
      started, mpi.size(), library.substr(0, library.find_first_of(",\n"))));
}

ExitCode run_under_mpi(const Invocation& invocation, const RankSettings& settings,
                       const std::function<ExitCode(RankContext&)>& body) {
  MpiEnvironment mpi;
  try {
    require_one_job(mpi, invocation.ranks);
    Rank rank(make_mpi_transport(mpi), invocation, settings);
    return rank.run(body, [&] { end_job(mpi, invocation, failure_of(std::current_exception()), rank.device()); });
  } catch (...) {
    end_job(mpi, invocation, failure_of(std::current_exception()), settings.compute->kind());
  }
}

/// One rank without others. What its GPU refuses is told with the host, as for one of many.
ExitCode run_alone(const Invocation& invocation, const RankSettings& settings,
                   const std::function<ExitCode(RankContext&)>& body) {
  std::unique_ptr<Mesh::Transport> transport = make_self_transport();
  const GpuInfo* gpu = settings.compute->gpu_of(transport->place());
  const auto told = [&](const Error& error) {
    return gpu == nullptr ? std::string(error.what())
                          : fmt::format("rank 0 of 1 ({}, cuda:{}): {}", host_name(), gpu->index, error.what());
  };
  try {
    return Rank(std::move(transport), invocation, settings).run(body, [] {});
  } catch (const DeviceError& error) {
    throw DeviceError(told(error));
  } catch (const CapacityError& error) {
    throw CapacityError(told(error));
  }
}

}  // namespace

ExitCode run_on_ranks(const Invocation& invocation, const RankSettings& given,
                      const std::function<ExitCode(RankContext&)>& body) {
  const std::unique_ptr<ComputeBackend> host = choose_compute({.device = "cpu"});
  RankSettings settings = given;
  if (settings.compute == nullptr) settings.compute = host.get();
  switch (invocation.kind) {
    case RankKind::simulated:
      return run_simulated(invocation, settings, body);
    case RankKind::mpi:
      return run_under_mpi(invocation, settings, body);
    case RankKind::alone:
      break;
  }
  return run_alone(invocation, settings, body);
}

void end_launched_ranks(const Failure& failure) noexcept {
  const MpiEnvironment mpi;
  end_ranks(mpi, failure, "no device yet");
}

}  // namespace ferula
