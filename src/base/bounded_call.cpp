#include "base/bounded_call.hpp"

#include <future>
#include <thread>
#include <utility>

namespace ferula {

bool ends_within(std::chrono::milliseconds limit, std::function<void()> call) {
  std::packaged_task<void()> task(std::move(call));
  const std::future<void> ended = task.get_future();
  std::thread(std::move(task)).detach();
  return ended.wait_for(limit) == std::future_status::ready;
}

}  // namespace ferula
