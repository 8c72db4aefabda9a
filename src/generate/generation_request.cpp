#include "generate/generation_request.hpp"

#include <fmt/ranges.h>

#include <algorithm>

#include "base/error.hpp"

namespace ferula {

std::string_view name_of(FinishReason reason) {
  switch (reason) {
    case FinishReason::length:
      return "length";
    case FinishReason::stop:
      return "stop";
    case FinishReason::context_full:
      break;
  }
  return "context_full";
}

double GenerationResult::tokens_per_second() const {
  const double seconds = total_s - first_token_s;
  return tokens.size() < 2 || seconds <= 0.0 ? 0.0 : static_cast<double>(tokens.size() - 1) / seconds;
}

void check_requests(std::span<const GenerationRequest> requests, std::int64_t context, std::int64_t vocabulary) {
  std::vector<std::string> problems;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    const GenerationRequest& request = requests[i];
    const auto length = static_cast<std::int64_t>(request.prompt.size());
    const std::string name = request.name.empty() ? fmt::format("prompt {}", i + 1) : request.name;
    const auto add = [&](const std::string& problem) { problems.push_back(fmt::format("{}: {}", name, problem)); };
    if (length == 0) add("expected at least one token, found none");
    if (length > context) {
      add(fmt::format("expected at most {} tokens, the model's context, found {}; shorten it", context, length));
    }
    if (request.max_new_tokens < 1) {
      add(fmt::format("expected max_new_tokens of at least 1, found {}", request.max_new_tokens));
    }
    if (request.min_new_tokens < 0 || request.min_new_tokens > request.max_new_tokens) {
      add(fmt::format("expected min_new_tokens of 0 to max_new_tokens, {}, found {}", request.max_new_tokens,
                      request.min_new_tokens));
    }
    const auto foreign = std::find_if(request.prompt.begin(), request.prompt.end(),
                                      [&](std::int32_t token) { return token < 0 || token >= vocabulary; });
    if (foreign != request.prompt.end()) add(fmt::format("expected ids below {}, found {}", vocabulary, *foreign));
    if (std::ranges::any_of(request.stop, &std::string::empty)) add("expected stop texts, found an empty one");
  }
  if (!problems.empty()) throw DataError(fmt::format("{}", fmt::join(problems, "\n")));
}

}  // namespace ferula
