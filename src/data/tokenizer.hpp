// Text to token ids and back. The byte-level tokenizer needs no vocabulary file: a token is a byte.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ferula {

/// Thread-safe: a tokenizer does not change once it is made.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  /// The word of `[data] tokenizer`, which a token file and a checkpoint remember.
  virtual std::string name() const = 0;
  /// Ids are 0 … vocabulary − 1.
  virtual std::int64_t vocabulary() const = 0;
  /// Appends the tokens of `text`, one document or a piece of it, to `tokens`.
  virtual void encode(std::string_view text, std::vector<std::int32_t>& tokens) const = 0;
  /// The text of `tokens`; may begin or end within a UTF-8 letter. DataError names an id outside the vocabulary.
  virtual std::string decode(std::span<const std::int32_t> tokens) const = 0;
};

/// The tokenizer of that name: "bytes" (vocabulary 256, no special tokens). ConfigError for another word.
std::unique_ptr<Tokenizer> make_tokenizer(std::string_view name);

}  // namespace ferula
