// The tokens of a run: prepared once by rank 0, opened by all.
#pragma once

#include <memory>

#include "app/rank_context.hpp"
#include "config/run_config.hpp"
#include "data/token_dataset.hpp"
#include "data/token_file_writer.hpp"
#include "train/run_directory.hpp"

namespace ferula {

/// An open token file and its samples; the dataset refers to the file.
struct RunData {
  std::unique_ptr<TokenFile> file;
  std::unique_ptr<TokenDataset> dataset;
};

/// Collective. `[data] tokens`, or the token file of the run made from `[data] text`. Errors of rank 0 are thrown on
/// every rank.
RunData open_run_data(RankContext& context, const DataConfig& data, const RunDirectory& directory,
                      const Tokenizer& tokenizer, OnChangedText on_changed);

/// Collective. Runs `work` on rank 0 alone; where it throws, every rank throws its message with its exit code.
void on_first_rank(RankContext& context, const std::function<void()>& work);

}  // namespace ferula
