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
#include "train/json_value.hpp"

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
  PieceEncoder encoder(tokenizer);
  read_in_pieces(files, source.path, [&](std::string_view piece) { encoder.encode(piece, tokens); });
  encoder.finish(tokens);
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

/// Nothing where the text is the ids of tokens: its own bytes say nothing of what they stand for.
std::optional<double> bits_per_byte(const FileScore& file) {
  if (file.bytes == 0) return std::nullopt;
  return file.score.nats / std::numbers::ln2 / static_cast<double>(file.bytes);
}

std::string decimals(double value, int digits) {
  return std::isnan(value) ? "not finite" : fmt::format("{:.{}f}", value, digits);
}

std::string as_table(const std::vector<FileScore>& scores) {
  Table table({"text", "tokens", "loss", "perplexity", "bits per byte"});
  for (const FileScore& file : scores) {
    const std::optional<double> bits = bits_per_byte(file);
    table.add({file.path, fmt::format("{}", file.score.tokens), decimals(file.score.loss(), 4),
               decimals(std::exp(file.score.loss()), 3), bits ? decimals(*bits, 4) : "-"});
  }
  std::string text = table.text();
  text.pop_back();  // the log ends the last line
  return text;
}

std::string as_json(const std::string& checkpoint, const std::vector<FileScore>& scores) {
  std::string text;
  for (const FileScore& file : scores)
    text += (text.empty() ? "" : "\n") + boost::json::serialize(boost::json::object{
                                             {"checkpoint", json_text(checkpoint)},
                                             {"text", json_text(file.path)},
                                             {"tokens", file.score.tokens},
                                             {"loss", number_or_null(file.score.loss())},
                                             {"perplexity", number_or_null(std::exp(file.score.loss()))},
                                             {"bits_per_byte", number_or_null(bits_per_byte(file).value_or(NAN))}});
  return text;
}

/// Every rank has the same scores.
void refuse_diverged(const std::vector<FileScore>& scores, const std::string& checkpoint) {
  for (const FileScore& file : scores) {
    if (std::isfinite(file.score.nats)) continue;
    DataError diverged(
        fmt::format("{}: expected a finite loss of {}, found {}; the weights are damaged or training has diverged: use "
                    "an earlier checkpoint",
                    checkpoint, file.path, std::abs(file.score.loss())));
    diverged.share();
    throw diverged;
  }
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
    const std::int64_t bytes = request.tokenizer->speaks() ? source.bytes : 0;
    scores.push_back({source.path, bytes, scorer.score(tokens, sink)});
  }
  if (logprobs) logprobs->close();
  if (scores.size() != 1) scores.push_back(total_of(scores));
  context.log.result(line.has(kJson.name) ? as_json(model.checkpoint, scores) : as_table(scores));
  refuse_diverged(scores, model.checkpoint);
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
