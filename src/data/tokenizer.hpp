// Text to token ids and back, without a vocabulary file: a token is a byte, or the text holds the ids as numbers.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/run_config.hpp"

namespace ferula {

/// Thread-safe: a tokenizer does not change once it is made.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  /// The word of `[data] tokenizer`, which a token file and a checkpoint remember.
  virtual std::string name() const = 0;
  /// Ids are 0 … vocabulary − 1.
  virtual std::int64_t vocabulary() const = 0;
  /// Whether its text is what the tokens stand for, in the letters of people.
  virtual bool speaks() const { return true; }
  /// Bytes at the front of `text` whose tokens do not depend on what follows them; the rest waits for more.
  virtual std::size_t whole_bytes(std::string_view text) const { return text.size(); }
  /// Appends the tokens of `text`, one document or a whole piece of it, to `tokens`. DataError where it holds none.
  virtual void encode(std::string_view text, std::vector<std::int32_t>& tokens) const = 0;
  /// The text of `tokens`; may begin or end within a UTF-8 letter. DataError names an id outside the vocabulary.
  virtual std::string decode(std::span<const std::int32_t> tokens) const = 0;
};

/// "bytes": vocabulary 256, no special tokens. "ids": the text is numbers below `ids`, which another program's
/// tokenizer has made, between white space or commas; so is what comes back. ConfigError for another word.
std::unique_ptr<Tokenizer> make_tokenizer(std::string_view name, std::int64_t ids = 0);
/// The tokenizer of a configuration, whose model says how many ids there are.
std::unique_ptr<Tokenizer> make_tokenizer(const Config& config);

}  // namespace ferula
