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
  /// A new file; throws DataError where it exists or cannot be made.
  LogprobFile(const std::string& path, const TextCorpus& corpus, const Tokenizer& tokenizer,
              const std::string& checkpoint);

  /// The next text of the corpus.
  void begin_text(std::span<const std::int32_t> tokens);
  /// −log p of the text's next tokens, from its second one on.
  void add(std::span<const float> losses);
  /// Writes out; throws DataError where the disk did not take it.
  void close();

 private:
  void write_offsets(const TextCorpus& corpus);

  Hdf5File file_;
  std::optional<Hdf5Dataset> tokens_, logprobs_;
  std::int64_t text_end_ = 0;
  std::int64_t written_ = 0;
  std::vector<float> staging_;
};

}  // namespace ferula
