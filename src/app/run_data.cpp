#include "app/run_data.hpp"

#include "app/version.hpp"
#include "checkpoint/agreement.hpp"

namespace ferula {

void on_first_rank(RankContext& context, const std::function<void()>& work) {
  Outcome mine;
  if (context.mesh.rank() == 0) mine = outcome_of(work);
  require(agree(context.mesh.world(), context.execution.communication, mine));
}

RunData open_run_data(RankContext& context, const DataConfig& data, const RunDirectory& directory,
                      const Tokenizer& tokenizer, OnChangedText on_changed) {
  const std::string path = data.tokens.empty() ? directory.tokens().string() : data.tokens;
  on_first_rank(context, [&] {
    if (!data.tokens.empty()) return;
    const TextCorpus corpus =
        ensure_token_file(context.files, path, data.text, tokenizer, fmt::format("ferula {}", version()), on_changed);
    for (const std::string& skipped : corpus.skipped) context.log.info("skipped " + skipped);
  });
  RunData opened;
  opened.file = std::make_unique<TokenFile>(context.files, path);
  opened.file->require(tokenizer);
  opened.dataset = std::make_unique<TokenDataset>(*opened.file, data.sequence_length, data.validation_fraction);
  return opened;
}

}  // namespace ferula
