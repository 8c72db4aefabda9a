// The text files behind a configuration's `[data] text`: found, checked, counted and hashed before a token is written.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/tokenizer.hpp"
#include "storage/block_hashes.hpp"
#include "storage/file_system.hpp"

namespace ferula {

/// One file of text, which is one document. `digest`: XXH3-128 of the digests of its blocks of 256 KiB.
struct TextSource {
  std::string path;
  std::int64_t bytes = 0;
  std::int64_t tokens = 0;
  Digest digest;
};

/// The sources in the order in which their tokens follow each other.
struct TextCorpus {
  std::vector<TextSource> sources;
  std::vector<std::string> skipped;  // "PATH: why", for the summary
  std::int64_t bytes() const;
  std::int64_t tokens() const;
};

/// Whether a path that a folder or a glob has found is to be passed over.
using PathFilter = std::function<bool(const std::string& path)>;

/// Reads every file once, in pieces of 256 KiB. An entry of `patterns` is a file, a folder (every file below that is
/// not hidden and is text) or a glob; entries keep their order, the files of one entry are sorted by the bytes of their
/// paths, and a file that several entries name counts once. Empty files of folders and globs are skipped.
/// Throws one DataError that names all problems: an entry that finds nothing and what was looked for, a file that
/// cannot be read, is not text (holds a zero byte; in a folder it is skipped instead) or is empty although named.
/// `giver`: what the user gave `patterns` by, for the message. `is_output`: files that are written while the text is
/// read; folders and globs pass over them, and `skipped` says how many.
TextCorpus survey_text(FileSystem& files, std::span<const std::string> patterns, const Tokenizer& tokenizer,
                       std::string_view giver = "data.text", const PathFilter& is_output = {});

/// Changes with the name, size or content of any source and with the tokenizer: equal keys give equal token files.
Digest content_key(const TextCorpus& corpus, const Tokenizer& tokenizer);

/// Calls `piece` with successive pieces of the file and returns its size and digest (`tokens` stays 0). DataError where
/// the file cannot be read.
TextSource read_in_pieces(FileSystem& files, const std::string& path,
                          const std::function<void(std::string_view)>& piece);

/// Turns successive pieces of one text into tokens, wherever they were cut.
class PieceEncoder {
 public:
  explicit PieceEncoder(const Tokenizer& tokenizer) : tokenizer_(&tokenizer) {}

  /// Appends the tokens that are sure. DataError as `encode`.
  void encode(std::string_view piece, std::vector<std::int32_t>& tokens);
  /// Appends those of the text's end.
  void finish(std::vector<std::int32_t>& tokens);

 private:
  const Tokenizer* tokenizer_;
  std::string open_;  // bytes that wait for those behind them
};

}  // namespace ferula
