#include "data/token_file_writer.hpp"

#include <array>
#include <optional>
#include <vector>

#include "base/error.hpp"
#include "data/token_file.hpp"
#include "storage/hdf5_file.hpp"

namespace ferula {

namespace {

template <class T>
TensorView view_of(std::span<T> values) {
  return {reinterpret_cast<std::byte*>(values.data()), dtype_of<T>, {static_cast<std::int64_t>(values.size())}};
}

template <class T>
void write_values(Hdf5File& file, const std::string& object, std::span<T> values) {
  const std::array<std::int64_t, 1> shape{static_cast<std::int64_t>(values.size())};
  file.create_dataset(object, dtype_of<T>, shape).write(0, view_of(values));
}

void write_lines(Hdf5File& file, const std::string& object, std::string_view lines) {
  std::vector<std::uint8_t> bytes(lines.begin(), lines.end());
  write_values(file, object, std::span(bytes));
}

/// Appends tokens to the dataset in the width that the vocabulary needs.
class TokenAppender {
 public:
  TokenAppender(Hdf5File& file, std::int64_t count, std::int64_t vocabulary)
      : dtype_(vocabulary <= 256 ? DType::u8 : DType::i32),
        dataset_(file.create_dataset("/tokens", dtype_, std::array<std::int64_t, 1>{count}, Hdf5Allocation::early)) {}

  void append(std::span<std::int32_t> tokens) {
    if (dtype_ == DType::u8) {
      narrow_.assign(tokens.begin(), tokens.end());
      dataset_.write(written_, view_of(std::span(narrow_)));
    } else {
      dataset_.write(written_, view_of(tokens));
    }
    written_ += static_cast<std::int64_t>(tokens.size());
  }
  std::int64_t written() const { return written_; }
  const Hdf5Dataset& dataset() const { return dataset_; }

 private:
  DType dtype_;
  Hdf5Dataset dataset_;
  std::vector<std::uint8_t> narrow_;
  std::int64_t written_ = 0;
};

void write_provenance(Hdf5File& file, const TextCorpus& corpus) {
  std::vector<std::int64_t> offsets{0};
  std::vector<std::int64_t> bytes;
  std::string paths;
  std::string digests;
  for (const auto& source : corpus.sources) {
    offsets.push_back(offsets.back() + source.tokens);
    bytes.push_back(source.bytes);
    paths += source.path + "\n";
    digests += to_hex(source.digest) + "\n";
  }
  write_values(file, "/document_offsets", std::span(offsets));
  write_values(file, "/sources/bytes", std::span(bytes));
  write_lines(file, "/sources/path", paths);
  write_lines(file, "/sources/digest", digests);
}

void write_tokens(FileSystem& files, Hdf5File& file, const TextCorpus& corpus, const Tokenizer& tokenizer) {
  TokenAppender appender(file, corpus.tokens(), tokenizer.vocabulary());
  std::vector<std::int32_t> tokens;
  for (const auto& source : corpus.sources) {
    const std::int64_t end = appender.written() + source.tokens;
    PieceEncoder encoder(tokenizer);
    const auto append = [&] {
      if (appender.written() + std::ssize(tokens) <= end) appender.append(tokens);
      tokens.clear();
    };
    const TextSource now = read_in_pieces(files, source.path, [&](std::string_view piece) {
      encoder.encode(piece, tokens);
      append();
    });
    encoder.finish(tokens);
    append();
    if (now.digest != source.digest || appender.written() != end) {
      throw DataError(fmt::format("{}: changed while it was being tokenised; start again", source.path));
    }
  }
  file.write_attribute("/", "tokens_digest", to_hex(digest_of_elements(appender.dataset())));
}

/// Nothing where a file that may be rewritten cannot be read.
std::optional<std::string> key_of_file(FileSystem& files, const std::string& path, OnChangedText on_changed) {
  try {
    return TokenFile(files, path, TokenFileOwner::run).content_key();
  } catch (const DataError&) {
    if (on_changed == OnChangedText::refuse) throw;
  }
  return std::nullopt;
}

void write_partial(FileSystem& files, const std::string& partial, const TextCorpus& corpus, const Tokenizer& tokenizer,
                   std::string_view created_by) {
  Hdf5File file = Hdf5File::create(partial);
  file.write_attribute("/", "format", "ferula-tokens");
  file.write_attribute("/", "format_version", kTokenFileVersion);
  file.write_attribute("/", "tokenizer", tokenizer.name());
  file.write_attribute("/", "vocabulary", tokenizer.vocabulary());
  file.write_attribute("/", "content_key", to_hex(content_key(corpus, tokenizer)));
  file.write_attribute("/", "created_by", created_by);
  write_provenance(file, corpus);
  write_tokens(files, file, corpus, tokenizer);
  file.close();
}

}  // namespace

void write_token_file(FileSystem& files, const std::string& path, const TextCorpus& corpus, const Tokenizer& tokenizer,
                      std::string_view created_by) {
  const std::string partial = path + ".partial";
  files.remove(partial);
  try {
    write_partial(files, partial, corpus, tokenizer, created_by);
  } catch (...) {
    files.remove(partial);
    throw;
  }
  files.open(partial, OpenMode::update)->sync();
  files.rename(partial, path, Replace::existing);
  files.sync_directory(parent_of(path));
}

TextCorpus ensure_token_file(FileSystem& files, const std::string& path, std::span<const std::string> patterns,
                             const Tokenizer& tokenizer, std::string_view created_by, OnChangedText on_changed,
                             const PathFilter& is_output) {
  TextCorpus corpus = survey_text(files, patterns, tokenizer, "data.text", is_output);
  const std::string key = to_hex(content_key(corpus, tokenizer));
  if (files.exists(path)) {
    if (key_of_file(files, path, on_changed) == key) return corpus;
    if (on_changed == OnChangedText::refuse) {
      throw DataError(fmt::format(
          "{}: the text of data.text has changed since this run began; restore it, train on the old tokens with "
          "data.tokens = \"{}\" in the place of data.text, or choose another run.name",
          path, path));
    }
  }
  write_token_file(files, path, corpus, tokenizer, created_by);
  return corpus;
}

}  // namespace ferula
