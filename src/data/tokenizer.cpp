#include "data/tokenizer.hpp"

#include <algorithm>
#include <charconv>

#include "base/error.hpp"
#include "data/utf8.hpp"

namespace ferula {

namespace {

class ByteTokenizer final : public Tokenizer {
 public:
  std::string name() const override { return "bytes"; }
  std::int64_t vocabulary() const override { return 256; }

  void encode(std::string_view text, std::vector<std::int32_t>& tokens) const override {
    const std::size_t before = tokens.size();
    tokens.resize(before + text.size());
    std::transform(text.begin(), text.end(), tokens.begin() + static_cast<std::ptrdiff_t>(before),
                   [](char letter) { return static_cast<std::int32_t>(static_cast<unsigned char>(letter)); });
  }

  std::string decode(std::span<const std::int32_t> tokens) const override {
    std::string text(tokens.size(), '\0');
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      if (tokens[i] < 0 || tokens[i] > 255) {
        throw DataError(fmt::format(
            "expected token ids from 0 to 255 for the tokenizer \"bytes\", found {} at place {}", tokens[i], i));
      }
      text[i] = static_cast<char>(tokens[i]);
    }
    return text;
  }
};

constexpr std::string_view kBetweenIds = " \t\r\n,";

class IdTokenizer final : public Tokenizer {
 public:
  explicit IdTokenizer(std::int64_t vocabulary) : vocabulary_(vocabulary) {}

  std::string name() const override { return "ids"; }
  std::int64_t vocabulary() const override { return vocabulary_; }
  bool speaks() const override { return false; }
  std::size_t whole_bytes(std::string_view text) const override { return text.find_last_of(kBetweenIds) + 1; }

  void encode(std::string_view text, std::vector<std::int32_t>& tokens) const override {
    for (std::size_t begin = text.find_first_not_of(kBetweenIds); begin < text.size();) {
      const std::size_t end = std::min(text.find_first_of(kBetweenIds, begin), text.size());
      tokens.push_back(id_of(text.substr(begin, end - begin)));
      begin = text.find_first_not_of(kBetweenIds, end);
    }
  }

  std::string decode(std::span<const std::int32_t> tokens) const override {
    std::string text;
    for (const std::int32_t token : tokens) text += fmt::format(" {}", token);
    return text;
  }

 private:
  std::int32_t id_of(std::string_view word) const {
    std::int32_t id = -1;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), id);
    if (error != std::errc() || end != word.data() + word.size() || id < 0 || id >= vocabulary_)
      throw DataError(
          fmt::format("expected the ids of tokens, numbers from 0 to {} with spaces between, found '{}'; the tokenizer "
                      "is \"ids\": let the model's own tokenizer make them (docs/usage.md)",
                      vocabulary_ - 1, with_valid_utf8(word.substr(0, kShownBytes))));
    return id;
  }

  static constexpr std::size_t kShownBytes = 20;
  std::int64_t vocabulary_;
};

}  // namespace

std::unique_ptr<Tokenizer> make_tokenizer(std::string_view name, std::int64_t ids) {
  if (name == "bytes") return std::make_unique<ByteTokenizer>();
  if (name == "ids") return std::make_unique<IdTokenizer>(ids);
  throw ConfigError(
      fmt::format("data.tokenizer: expected \"bytes\" or \"ids\", found \"{}\"; vocabulary files of other "
                  "tokenizers cannot be read yet",
                  name));
}

std::unique_ptr<Tokenizer> make_tokenizer(const Config& config) {
  return make_tokenizer(config.data.tokenizer, config.model.vocabulary.value.value_or(1));
}

}  // namespace ferula
