// What an error says that a test provokes.
#pragma once

#include <string>

#include "base/error.hpp"

namespace ferula::test {

/// The message of the `Failure` that `body` throws; other errors pass. "nothing was thrown" where it throws none.
template <class Failure = Error, class Body>
std::string message_of(Body body) {
  try {
    body();
  } catch (const Failure& error) {
    return error.what();
  }
  return "nothing was thrown";
}

}  // namespace ferula::test
