// `ferula evaluate`: loss and perplexity of texts under a checkpoint's model, and the log-probability of every token.
#include <boost/json.hpp>
#include <cmath>
#include <fstream>
#include <numbers>

#include "app/command.hpp"
#include "app/common_options.hpp"
#include "app/inference_setup.hpp"
#include "app/logprob_file.hpp"
#include "app/table.hpp"
#include "app/text_scorer.hpp"
#include "base/human.hpp"
#include "data/text_corpus.hpp"

namespace ferula {
namespace {

constexpr OptionSpec kText{"text", "PATH", "A text file, a folder or a glob; may be given many times."};
constexpr OptionSpec kLogprobs{"logprobs", "OUT.h5", "Writes the log-probability of every token to a new HDF5 file."};

struct FileScore {
  std::string path;
  std::int64_t bytes = 0;
  TextScore score;
};

std::vector<std::int32_t> tokens_of(FileSystem& files, const TextSource& source, const Tokenizer& tokenizer) {
  std::vector<std::int32_t> tokens;
  read_in_pieces(files, source.path, [&](std::string_view piece) { tokenizer.encode(piece, tokens); });
  return tokens;
}

FileScore total_of(const std::vector<FileScore>& scores) {
  FileScore total{.path = "all", .bytes = 0, .score = {}};
  for (const FileScore& each : scores) {
    total.bytes += each.bytes;
    total.score.nats += each.score.nats;
    total.score.tokens += each.score.tokens;
  }
  return total;
}

double bits_per_byte(const FileScore& file) {
  return file.bytes > 0 ? file.score.nats / std::numbers::ln2 / static_cast<double>(file.bytes) : 0.0;
}

std::string as_table(const std::vector<FileScore>& scores) {
  Table table({"text", "tokens", "loss", "perplexity", "bits per byte"});
  for (const FileScore& file : scores)
    table.add({file.path, fmt::format("{}", file.score.tokens), fmt::format("{:.4f}", file.score.loss()),
               fmt::format("{:.3f}", std::exp(file.score.loss())), fmt::format("{:.4f}", bits_per_byte(file))});
  std::string text = table.text();
  text.pop_back();  // the log ends the last line
  return text;
}

std::string as_json(const std::vector<FileScore>& scores) {
  std::string text;
  for (const FileScore& file : scores)
    text += (text.empty() ? "" : "\n") +
            boost::json::serialize(boost::json::object{{"text", file.path},
                                                       {"tokens", file.score.tokens},
                                                       {"loss", file.score.loss()},
                                                       {"perplexity", std::exp(file.score.loss())},
                                                       {"bits_per_byte", bits_per_byte(file)}});
  return text;
}

ExitCode evaluate(RankContext& context, InferenceModel& model, const InferenceRequest& request,
                  const CommandLine& line) {
  const TextCorpus corpus = survey_text(context.files, line.all(kText.name), *request.tokenizer, "--text");
  std::optional<LogprobFile> logprobs;
  if (const auto path = line.text(kLogprobs.name); path && context.mesh.rank() == 0)
    logprobs.emplace(context.files, *path, corpus, *request.tokenizer, model.checkpoint);
  TextScorer scorer(model.transformer, context.execution, context.mesh.world(), model.transformer.settings().rows);
  std::vector<FileScore> scores;
  for (const TextSource& source : corpus.sources) {
    const std::vector<std::int32_t> tokens = tokens_of(context.files, source, *request.tokenizer);
    if (tokens.size() < 2)
      throw DataError(fmt::format("{}: expected at least two tokens, of which the second is scored, found {}",
                                  source.path, tokens.size()));
    if (logprobs) logprobs->begin_text(tokens);
    const auto sink = [&](std::span<const float> losses) {
      if (logprobs) logprobs->add(losses);
    };
    scores.push_back({source.path, source.bytes, scorer.score(tokens, sink)});
  }
  if (logprobs) logprobs->close();
  if (scores.size() != 1) scores.push_back(total_of(scores));
  context.log.info(line.has(kJson.name) ? as_json(scores) : as_table(scores));
  return ExitCode::done;
}

ExitCode run(const CommandLine& line, const Invocation& invocation) {
  if (!line.has(kText.name)) throw ConfigError("expected a text to evaluate: --text FILE");
  const InferenceRequest request = inference_request(line, invocation);
  const std::int64_t window = std::min(request.config.data.sequence_length, request.config.model.context);
  return run_with_model(invocation, request, window, [&](RankContext& context, InferenceModel& model) {
    return evaluate(context, model, request, line);
  });
}

}  // namespace

Command evaluate_command() {
  return {
      .name = "evaluate",
      .summary = "Computes loss and perplexity of texts.",
      .usage = "ferula evaluate CONFIG.toml|--checkpoint DIR --text FILE [options]",
      .description =
          "Every token but the first of a text is scored once, in windows of the run's sequence_length that do not\n"
          "overlap, as in training. --logprobs writes /tokens, /logprobs (natural logarithms) and /text_offsets.",
      .options = {kCheckpoint, kText, kLogprobs, kJson, kSet},
      .examples = {"ferula evaluate --checkpoint runs/quickstart --text README.md",
                   "ferula evaluate configs/quickstart.toml --text 'docs/**/*.md' --ranks 2 --json",
                   "ferula evaluate --checkpoint runs/quickstart --text README.md --logprobs readme.h5"},
      .ranks = CommandRanks::all_ranks,
      .stop = CommandStop::ends,
      .run = run};
}

}  // namespace ferula
