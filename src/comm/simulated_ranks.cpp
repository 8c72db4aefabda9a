// Threads as ranks: starts one each, ends all when one fails, and reports the first failure.
#include <exception>
#include <mutex>
#include <thread>

#include "comm/aborted_error.hpp"
#include "comm/simulated_transport.hpp"

namespace ferula {
namespace {

bool is_echo(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const AbortedError&) {
    return true;
  } catch (...) {
    return false;
  }
}

/// The first error among the ranks; one that only echoes another rank's gives way to the first that does not.
struct FirstError {
  std::mutex mutex;
  std::exception_ptr error;
  int rank = 0;

  void keep(std::exception_ptr thrown, int of_rank) {
    const std::lock_guard lock(mutex);
    if (error && (is_echo(thrown) || !is_echo(error))) return;
    error = std::move(thrown);
    rank = of_rank;
  }
};

std::string message_of(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& thrown) {
    return thrown.what();
  } catch (...) {
    return "an exception of unknown type";
  }
}

bool is_shared(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const Error& thrown) {
    return thrown.is_shared();
  } catch (...) {
    return false;
  }
}

/// Throws `error` again in its kind, with `prefix` before its message; as it is where all ranks have it.
[[noreturn]] void rethrow_with(const std::exception_ptr& error, const std::string& prefix) {
  if (is_shared(error)) std::rethrow_exception(error);
  const std::string message = prefix + message_of(error);
  try {
    std::rethrow_exception(error);
  } catch (const ConfigError&) {
    throw ConfigError(message);
  } catch (const DataError&) {
    throw DataError(message);
  } catch (const DeviceError&) {
    throw DeviceError(message);
  } catch (const CapacityError&) {
    throw CapacityError(message);
  } catch (const CommError&) {
    throw CommError(message);
  } catch (const Error& thrown) {
    throw Error(message, thrown.code());
  } catch (...) {
    throw Error(message);
  }
}

}  // namespace

void run_simulated_ranks(int ranks, const std::function<void(std::unique_ptr<Mesh::Transport>)>& body,
                         CommonMemory common) {
  SimulatedWorld world(ranks, common);
  FirstError first;
  {
    std::vector<std::jthread> threads;
    for (int rank = 0; rank < ranks; ++rank) {
      threads.emplace_back([&, rank] {
        try {
          body(world.transport(rank));
        } catch (...) {
          first.keep(std::current_exception(), rank);
          world.abort(fmt::format("rank {} gave up: {}", rank, message_of(std::current_exception())));
        }
      });
    }
  }
  if (first.error) rethrow_with(first.error, fmt::format("simulated rank {} of {}: ", first.rank, ranks));
}

}  // namespace ferula
