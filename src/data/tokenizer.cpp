#include "data/tokenizer.hpp"

#include <algorithm>

#include "base/error.hpp"

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

}  // namespace

std::unique_ptr<Tokenizer> make_tokenizer(std::string_view name) {
  if (name == "bytes") return std::make_unique<ByteTokenizer>();
  throw ConfigError(fmt::format(
      "data.tokenizer: expected \"bytes\", found \"{}\"; vocabulary files of other tokenizers cannot be read yet",
      name));
}

}  // namespace ferula
