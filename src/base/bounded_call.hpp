// Calls of a library that may wait for peers which never answer.
#pragma once

#include <chrono>
#include <functional>

namespace ferula {

/// Runs `call`, which does not throw, on a thread of its own and waits for it at most as long as `limit`. False where
/// it had not ended by then: the thread goes on, and what `call` uses must live as long as the process.
bool ends_within(std::chrono::milliseconds limit, std::function<void()> call);

}  // namespace ferula
