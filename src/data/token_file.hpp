// The token file: all tokens of a corpus in one HDF5 dataset, with what they were made from.
//
//   /tokens            [tokens] u8 where the vocabulary is at most 256, else i32; one piece, no compression
//   /document_offsets  [documents + 1] i64: document d is tokens [offset[d], offset[d + 1])
//   /sources/path      u8: the documents' paths, a line each
//   /sources/digest    u8: XXH3-128 in hexadecimal, a line each
//   /sources/bytes     [documents] i64
//
// Attributes of the file: format "ferula-tokens", format_version, tokenizer, vocabulary, content_key, tokens_digest,
// created_by. Another program may leave out the last three and /sources (docs/usage.md).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/text_corpus.hpp"
#include "data/tokenizer.hpp"
#include "storage/file_system.hpp"
#include "storage/hdf5_file.hpp"

namespace ferula {

inline constexpr std::int64_t kTokenFileVersion = 2;

/// Whose file it is decides what an error advises: a run makes its own anew when it is gone.
enum class TokenFileOwner : std::uint8_t { user, run };

/// XXH3-128 of the digests of the blocks of 256 KiB of a dataset. Cost: reads it once.
Digest digest_of_elements(const Hdf5Dataset& dataset);

/// An open token file. Reads from several threads are safe.
class TokenFile {
 public:
  /// DataError where the file is missing, is no token file, or does not hold together.
  TokenFile(FileSystem& files, const std::string& path, TokenFileOwner owner = TokenFileOwner::user);

  const std::string& path() const { return path_; }
  /// The open file has got another name, for messages.
  void renamed_to(std::string path) { path_ = std::move(path); }
  std::int64_t tokens() const { return tokens_->count(); }
  std::int64_t documents() const { return documents_; }
  std::int64_t vocabulary() const { return vocabulary_; }
  const std::string& tokenizer() const { return tokenizer_; }
  /// Of the text and the tokenizer that the tokens come from: equal keys, equal tokens. Empty where another program
  /// wrote the file; so is `created_by`.
  const std::string& content_key() const { return content_key_; }
  const std::string& created_by() const { return created_by_; }
  /// Of the tokens: equal digests, equal tokens. Of a file without one it is that which `take_digest` was given.
  const Digest& digest() const { return digest_.value(); }
  /// The digest of the tokens as they are; DataError where it is not that of the file. Cost: reads and hashes them
  /// once.
  Digest verify() const;
  void take_digest(const Digest& digest) { digest_ = digest; }
  /// Reads the provenance: paths, sizes, digests and numbers of tokens.
  std::vector<TextSource> sources() const;

  /// Tokens [begin, begin + out.size()). One read of the disk or its cache, no allocation. DataError names an id
  /// outside the vocabulary.
  void read(std::int64_t begin, std::span<std::int32_t> out) const;
  /// DataError where the tokens were made by another tokenizer or a larger vocabulary.
  void require(const Tokenizer& tokenizer) const;

 private:
  void read_header();
  void check_structure();
  std::vector<TextSource> read_sources() const;
  void read_bytes(std::int64_t begin, TensorView target) const;

  std::string path_;
  TokenFileOwner owner_;
  Hdf5File file_;
  std::optional<Hdf5Dataset> tokens_;
  std::unique_ptr<File> raw_;                  // the same bytes, beside the library and its lock
  std::optional<std::int64_t> byte_position_;  // of the first token in `raw_`
  std::int64_t documents_ = 0;
  std::int64_t vocabulary_ = 0;
  std::string tokenizer_;
  std::string content_key_;
  std::string created_by_;
  std::optional<Digest> digest_;
};

}  // namespace ferula
