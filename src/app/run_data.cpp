#include "app/run_data.hpp"

#include "app/version.hpp"
#include "checkpoint/agreement.hpp"
#include "comm/gather_texts.hpp"
#include "train/run_directory.hpp"

namespace ferula {
namespace {

namespace fs = std::filesystem;

constexpr const char* kDigestNote = "tokens_xxh3_128";
constexpr const char* kCountNote = "tokens";

/// Whether a file belongs to this run or to a neighbour of it: as text it would change with every step.
PathFilter belongs_to_runs(const RunConfig& run) {
  const fs::path runs = fs::weakly_canonical(run.output_dir);
  return [runs, own = fs::path(run.name)](const std::string& path) {
    const fs::path inside = fs::weakly_canonical(path).lexically_relative(runs);
    if (inside.empty() || *inside.begin() == "..") return false;
    const fs::path& folder = *inside.begin();
    return folder == own || fs::exists(RunDirectory{runs / folder}.metrics());
  };
}

}  // namespace

void on_first_rank(RankContext& context, const std::function<void()>& work) {
  Outcome mine;
  if (context.mesh.rank() == 0) mine = outcome_of(work);
  require(agree(context.mesh.world(), context.execution.communication, mine));
}

RunData open_run_data(RankContext& context, const Config& config, const std::string& own_path,
                      const Tokenizer& tokenizer, OnChangedText on_changed) {
  const DataConfig& data = config.data;
  const bool is_own = data.tokens.empty();
  const std::string path = is_own ? own_path : data.tokens;
  const TokenFileOwner owner = is_own ? TokenFileOwner::run : TokenFileOwner::user;
  std::string digest;  // as rank 0 has found it
  on_first_rank(context, [&] {
    if (is_own) {
      const TextCorpus corpus =
          ensure_token_file(context.files, path, data.text, tokenizer, fmt::format("ferula {}", version()), on_changed,
                            belongs_to_runs(config.run));
      for (const std::string& skipped : corpus.skipped) context.log.info("skipped " + skipped);
    }
    digest = to_hex(TokenFile(context.files, path, owner).verify());
  });
  digest = gather_texts(context.mesh.world(), context.execution.communication, digest).front();
  RunData opened;
  const auto open = [&] {
    opened.file = std::make_unique<TokenFile>(context.files, path, owner);
    opened.file->require(tokenizer);
    opened.file->take_digest(digest_from_hex(digest).value());
    opened.dataset = std::make_unique<TokenDataset>(*opened.file, data.sequence_length, data.validation_fraction);
  };
  require(agree(context.mesh.world(), context.execution.communication, outcome_of(open)));
  return opened;
}

std::map<std::string, std::string> token_notes(const TokenFile& file) {
  return {{kDigestNote, to_hex(file.digest())}, {kCountNote, fmt::format("{}", file.tokens())}};
}

std::string tokens_in_words(const std::map<std::string, std::string>& notes) {
  const auto digest = notes.find(kDigestNote);
  const auto count = notes.find(kCountNote);
  if (digest == notes.end() || count == notes.end()) return "tokens without a name";
  return fmt::format("{} tokens (XXH3-128 {})", count->second, digest->second);
}

bool name_same_tokens(const std::map<std::string, std::string>& one, const std::map<std::string, std::string>& other) {
  const auto mine = one.find(kDigestNote);
  const auto theirs = other.find(kDigestNote);
  return mine != one.end() && theirs != other.end() && mine->second == theirs->second;
}

}  // namespace ferula
