// What is asked of a generating model, and what comes back.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ferula {

struct GenerationRequest {
  std::vector<std::int32_t> prompt;
  std::int64_t max_new_tokens = 128;
  std::vector<std::string> stop;    // the text ends before the first of them
  std::int64_t min_new_tokens = 0;  // a stop text that begins within that many tokens is text like any other
  std::string name = {};            // for messages; empty: "prompt N", counted from 1
};

/// Why a text ended: `max_new_tokens` were written, a stop text came, or the model can read no further token.
enum class FinishReason : std::uint8_t { length, stop, context_full };
/// "length", "stop", "context_full".
std::string_view name_of(FinishReason reason);

struct GenerationResult {
  std::vector<std::int32_t> tokens;  // the new ones, those of a stop text included
  std::string text;                  // their text, without the stop text; bytes, perhaps not valid UTF-8
  FinishReason finish = FinishReason::length;
  double first_token_s = 0.0;  // from the start of this request to its first token
  double total_s = 0.0;

  /// Tokens a second after the first one; 0 where there is only one.
  double tokens_per_second() const;
};

/// Throws DataError that names every prompt that is empty, longer than the context or asks for fewer than one token,
/// and ids outside the vocabulary.
void check_requests(std::span<const GenerationRequest> requests, std::int64_t context, std::int64_t vocabulary);

}  // namespace ferula
