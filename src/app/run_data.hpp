// The tokens of a run: prepared once by rank 0, opened by all.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "app/rank_context.hpp"
#include "config/run_config.hpp"
#include "data/token_dataset.hpp"
#include "data/token_file_writer.hpp"

namespace ferula {

/// An open token file and its samples; the dataset refers to the file.
struct RunData {
  std::unique_ptr<TokenFile> file;
  std::unique_ptr<TokenDataset> dataset;
};

/// Collective. `[data] tokens`, or the token file `own_path` of the run made from `[data] text`, without the files of
/// runs in the same output directory; rank 0 verifies the tokens by their hash. An error of any rank is thrown on every
/// rank.
RunData open_run_data(RankContext& context, const Config& config, const std::string& own_path,
                      const Tokenizer& tokenizer, OnChangedText on_changed);

/// What a checkpoint remembers of the tokens it was trained on.
std::map<std::string, std::string> token_notes(const TokenFile& file);
/// Such notes for people: "12345 tokens (XXH3-128 5f2c…)".
std::string tokens_in_words(const std::map<std::string, std::string>& notes);
/// Whether two such notes name the same tokens.
bool name_same_tokens(const std::map<std::string, std::string>& one, const std::map<std::string, std::string>& other);

/// Collective. Runs `work` on rank 0 alone; where it throws, every rank throws its message with its exit code.
void on_first_rank(RankContext& context, const std::function<void()>& work);

}  // namespace ferula
