// The HDF5 file of `evaluate --logprobs`: the log-probability of every token, for analysis elsewhere.
//
//   /tokens        [tokens] i32: the tokens of all texts, one text after the other
//   /logprobs      [tokens] f32: log p of each token given those before it in its window; NaN for a text's first token
//   /text_offsets  [texts + 1] i64: text t is tokens [offset[t], offset[t + 1])
//
// Attributes of the file: format "ferula-logprobs", tokenizer, checkpoint.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/text_corpus.hpp"
#include "storage/hdf5_file.hpp"

namespace ferula {

class LogprobFile {
 public:
  /// A new file; throws ConfigError where it exists, DataError where it cannot be made. Until `close` it has another
  /// name, and nothing is left of it where that is not reached.
  LogprobFile(FileSystem& files, const std::string& path, const TextCorpus& corpus, const Tokenizer& tokenizer,
              const std::string& checkpoint);
  ~LogprobFile();
  LogprobFile(const LogprobFile&) = delete;
  LogprobFile& operator=(const LogprobFile&) = delete;

  /// The next text of the corpus.
  void begin_text(std::span<const std::int32_t> tokens);
  /// −log p of the text's next tokens, from its second one on.
  void add(std::span<const float> losses);
  /// Writes out and gives the file its name; throws CapacityError where the disk is full.
  void close();

 private:
  void write_offsets(const TextCorpus& corpus);

  FileSystem* files_;
  std::string path_, partial_;
  Hdf5File file_;
  std::optional<Hdf5Dataset> tokens_, logprobs_;
  std::int64_t text_end_ = 0;
  std::int64_t written_ = 0;
  std::vector<float> staging_;
  bool is_closed_ = false;
};

}  // namespace ferula
