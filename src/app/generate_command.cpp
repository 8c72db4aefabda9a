// `ferula generate`: writes text that continues prompts, with the weights of a checkpoint on any number of ranks.
#include <boost/json.hpp>

#include <limits>

#include "app/command.hpp"
#include "app/common_options.hpp"
#include "app/inference_setup.hpp"
#include "app/plan/inference_forecast.hpp"
#include "app/prompts.hpp"
#include "data/utf8.hpp"
#include "generate/generator.hpp"
#include "train/json_value.hpp"

namespace ferula {
namespace {

constexpr std::int64_t kMostSequences = 65536;
constexpr std::int64_t kMostTokens = std::numeric_limits<std::int32_t>::max();  // of a vocabulary and of a context

constexpr OptionSpec kPrompt{"prompt", "TEXT", "A text to continue; may be given many times."};
constexpr OptionSpec kPrompts{"prompts", "FILE.jsonl", "One prompt a line: {\"prompt\": \"...\"} or a JSON string."};
constexpr OptionSpec kTokens{"max-new-tokens", "N", "Tokens to write for each prompt, default 128."};
constexpr OptionSpec kMinTokens{"min-new-tokens", "N",
                                "A stop text that begins within the first N tokens does not end a text, default 0."};
constexpr OptionSpec kStream{"stream", "", "Shows the text of one prompt while it is written."};
constexpr OptionSpec kSequences{"num-return-sequences", "N",
                                "Texts for each prompt, default 1, each with draws of its own."};
constexpr OptionSpec kStop{"stop", "TEXT", "Ends a text before this one; may be given many times."};
constexpr OptionSpec kGreedy{"greedy", "", "Always takes the likeliest token."};
constexpr OptionSpec kTemperature{"temperature", "X", "Divides the logits, default 1; lower is more certain."};
constexpr OptionSpec kTopK{"top-k", "K", "Draws from the K likeliest tokens, default 0: from all."};
constexpr OptionSpec kTopP{"top-p", "P", "Draws from the fewest tokens that reach probability P, default 1."};
constexpr OptionSpec kPenalty{"repetition-penalty", "X", "Makes tokens that occurred less likely, default 1: no."};
constexpr OptionSpec kSeed{"seed", "N", "Of the draws, default: the run's."};

SamplingOptions sampling_options(const CommandLine& line, const Config& config) {
  const SamplingOptions options{
      .choice = line.has(kGreedy.name) ? Choice::greedy : Choice::sample,
      .temperature = line.number(kTemperature.name).value_or(1.0),
      .top_k = line.integer(kTopK.name, 0, kMostTokens).value_or(0),
      .top_p = line.number(kTopP.name).value_or(1.0),
      .repetition_penalty = line.number(kPenalty.name).value_or(1.0),
      .seed = static_cast<std::uint64_t>(line.integer(kSeed.name).value_or(config.run.seed)),
  };
  validate(options);
  return options;
}

/// Each prompt as often as texts are wanted, one after the other: a request's number chooses its draws.
std::vector<Prompt> repeated(const CommandLine& line, const std::vector<Prompt>& prompts) {
  const std::int64_t times = line.integer(kSequences.name, 1, kMostSequences).value_or(1);
  if (times > 1 && line.has(kGreedy.name))
    throw ConfigError("--greedy has one text for each prompt: use it without --num-return-sequences");
  std::vector<Prompt> all;
  for (const Prompt& prompt : prompts)
    for (std::int64_t index = 0; index < times; ++index) all.push_back({prompt.text, prompt.name, index});
  return all;
}

std::vector<Prompt> prompts_of(const CommandLine& line, PromptReaders readers) {
  std::vector<Prompt> prompts;
  for (const std::string& text : line.all(kPrompt.name))
    prompts.push_back({text, fmt::format("prompt {}", prompts.size() + 1)});
  for (const std::string& path : line.all(kPrompts.name)) {
    const std::vector<Prompt> read = read_prompts(path, readers);
    prompts.insert(prompts.end(), read.begin(), read.end());
  }
  if (prompts.empty()) throw ConfigError("expected a prompt: --prompt TEXT or --prompts FILE.jsonl");
  return repeated(line, prompts);
}

/// Every rank has the same prompts, and finds the same mistake.
void encode_prompt(const Prompt& prompt, const Tokenizer& tokenizer, std::vector<std::int32_t>& tokens) {
  try {
    tokenizer.encode(prompt.text, tokens);
  } catch (const DataError& error) {
    DataError named(fmt::format("{}: {}", prompt.name, error.what()));
    named.share();
    throw named;
  }
}

std::vector<GenerationRequest> requests_of(const CommandLine& line, const std::vector<Prompt>& prompts,
                                           const Tokenizer& tokenizer) {
  if (!tokenizer.speaks() && line.has(kStop.name))
    throw ConfigError(
        fmt::format("--stop: expected a tokenizer that writes text, but this model's is \"{}\"; cut the ids behind "
                    "the one that ends a text",
                    tokenizer.name()));
  std::vector<GenerationRequest> requests;
  for (const Prompt& prompt : prompts) {
    GenerationRequest request{.max_new_tokens = line.integer(kTokens.name, 1, kMostTokens).value_or(128),
                              .stop = line.all(kStop.name),
                              .min_new_tokens = line.integer(kMinTokens.name, 0, kMostTokens).value_or(0),
                              .name = prompt.name};
    encode_prompt(prompt, tokenizer, request.prompt);
    requests.push_back(std::move(request));
  }
  return requests;
}

/// What was read, and what the rank with the most memory held at its peak.
struct ModelInUse {
  std::string checkpoint;
  std::int64_t memory_peak_bytes = 0;
};

std::string as_json(const ModelInUse& model, const Prompt& prompt, const GenerationResult& result) {
  return boost::json::serialize(boost::json::object{{"checkpoint", json_text(model.checkpoint)},
                                                    {"prompt", json_text(prompt.text)},
                                                    {"index", prompt.index},
                                                    {"text", json_text(result.text)},
                                                    {"finish_reason", name_of(result.finish)},
                                                    {"tokens", result.tokens.size()},
                                                    {"first_token_seconds", result.first_token_s},
                                                    {"tokens_per_second", result.tokens_per_second()},
                                                    {"memory_peak_bytes", model.memory_peak_bytes}});
}

/// One text, shown in whole letters while it is written. Rank 0 writes the first request and has the log that speaks.
class ShownText {
 public:
  ShownText(Log& log, std::string_view prompt) : log_(&log), pending_(prompt) { add({}); }

  void add(std::string_view bytes) {
    pending_ += bytes;
    const std::size_t whole = pending_.size() - unfinished_letter_bytes(pending_);
    if (whole > 0) log_->result_part(with_valid_utf8(std::string_view(pending_).substr(0, whole)));
    pending_.erase(0, whole);
  }
  void finish() { log_->result(with_valid_utf8(pending_)); }

 private:
  Log* log_;
  std::string pending_;  // the beginning of a letter
};

void check_stream(const CommandLine& line, std::size_t texts) {
  if (!line.has(kStream.name)) return;
  if (line.has(kJson.name)) throw ConfigError("--stream shows a text and --json a finished record: use one of them");
  if (texts > 1)
    throw ConfigError(
        fmt::format("--stream shows one text, found {}: give one prompt and no --num-return-sequences", texts));
}

/// Collective.
std::int64_t agreed_memory_peak(RankContext& context) {
  const auto mine = static_cast<double>(context.ledger().peak_bytes());
  return static_cast<std::int64_t>(agree_max(context.mesh.world(), context.execution.communication, mine));
}

void print_result(const CommandLine& line, RankContext& context, const ModelInUse& model, const Prompt& prompt,
                  const GenerationResult& result) {
  context.log.result(line.has(kJson.name) ? as_json(model, prompt, result)
                                          : with_valid_utf8(prompt.text + result.text));
}

/// A text that ends before its wanted length says so.
void warn_of_full_context(Log& log, const std::vector<Prompt>& prompts, const std::vector<GenerationResult>& results,
                          std::int64_t context) {
  for (std::size_t index = 0; index < results.size(); ++index)
    if (results[index].finish == FinishReason::context_full)
      log.warning(fmt::format("{}: the text ends after {} new tokens, where the model's context of {} is full",
                              prompts[index].name, results[index].tokens.size(), context));
}

ExitCode run(const CommandLine& line, const Invocation& invocation) {
  const InferenceRequest request = inference_request(line, invocation);
  const SamplingOptions options = sampling_options(line, request.config);
  const std::vector<Prompt> prompts =
      prompts_of(line, invocation.kind == RankKind::mpi ? PromptReaders::every_rank : PromptReaders::one);
  check_stream(line, prompts.size());
  const std::vector<GenerationRequest> requests = requests_of(line, prompts, *request.tokenizer);
  return run_with_model(
      invocation, request, generation_rows(request.config), [&](RankContext& context, InferenceModel& model) {
        TransformerDecoder decoder(model.transformer, context.execution);
        Generator generator(decoder, *request.tokenizer, {context.mesh.world(), context.execution.communication},
                            options);
        std::vector<GenerationResult> results;
        if (line.has(kStream.name)) {
          ShownText shown(context.log, prompts.front().text);
          results = generator.run(requests, [&](std::size_t, std::string_view bytes) { shown.add(bytes); });
          shown.finish();
        } else {
          results = generator.run(requests);
          const ModelInUse used{model.checkpoint, agreed_memory_peak(context)};
          for (std::size_t number = 0; number < results.size(); ++number)
            print_result(line, context, used, prompts[number], results[number]);
        }
        warn_of_full_context(context.log, prompts, results, request.config.model.context);
        return ExitCode::done;
      });
}

}  // namespace

Command generate_command() {
  return {.name = "generate",
          .summary = "Writes text that continues a prompt.",
          .usage = "ferula generate CONFIG.toml|--checkpoint DIR --prompt TEXT [options]",
          .description =
              "Takes the newest good checkpoint of the configuration's run, or the one that is named. The weights may\n"
              "lie on any number of ranks at any ZeRO stage (--set zero_optimization.stage=3): the text is the same.",
          .options = {kCheckpoint, kPrompt, kPrompts, kTokens, kMinTokens, kSequences, kStop, kStream, kGreedy,
                      kTemperature, kTopK, kTopP, kPenalty, kSeed, kJson, kSet},
          .examples = {"ferula generate --checkpoint runs/quickstart --prompt 'The ' --max-new-tokens 200",
                       "ferula generate configs/quickstart.toml --prompt 'namespace ' --greedy",
                       "ferula generate --checkpoint runs/quickstart --prompts prompts.jsonl --json --ranks 2",
                       "ferula generate --checkpoint runs/quickstart --prompt 'A ' --temperature 0.8 --top-p 0.95",
                       "ferula generate --checkpoint runs/quickstart --prompt 'Once' --stream"},
          .ranks = CommandRanks::all_ranks,
          .stop = CommandStop::ends,
          .run = run};
}

}  // namespace ferula
