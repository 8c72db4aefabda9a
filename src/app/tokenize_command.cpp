// `ferula tokenize`: turns text files into one HDF5 token file and shows what is in it.
#include <limits>

#include "app/command.hpp"
#include "app/table.hpp"
#include "base/human.hpp"
#include "base/output.hpp"
#include "base/stopwatch.hpp"
#include "data/token_file.hpp"
#include "data/token_file_writer.hpp"

namespace ferula {
namespace {

constexpr OptionSpec kText{"text", "PATH", "A text file, a folder or a glob; may be given many times."};
constexpr OptionSpec kOut{"out", "FILE.h5", "The token file to write; an existing one is replaced."};
constexpr OptionSpec kTokenizer{"tokenizer", "NAME", "bytes (default), or ids: the text holds numbers of tokens."};
constexpr OptionSpec kVocabulary{"vocabulary", "N", "Of --tokenizer ids: how many tokens the model knows."};

std::vector<std::string> patterns_of(const CommandLine& line) {
  std::vector<std::string> patterns = line.all(kText.name);
  patterns.insert(patterns.end(), line.positionals().begin(), line.positionals().end());
  if (patterns.empty())
    throw ConfigError(
        "`ferula tokenize` expects text: files, folders or globs, e.g. `ferula tokenize 'docs/**/*.md' "
        "--out docs.h5`");
  return patterns;
}

void show(const TextCorpus& corpus, const TokenFile& file, double seconds) {
  Table table({"file", "bytes", "tokens"});
  for (const TextSource& source : corpus.sources)
    table.add({source.path, fmt::format("{}", source.bytes), fmt::format("{}", source.tokens)});
  print_output("{}", table.text());
  for (const std::string& skipped : corpus.skipped) print_output("skipped {}\n", skipped);
  print_output("{}: {} tokens of {} documents, vocabulary {} ({}), {} of text in {:.1f} s\n", file.path(),
               file.tokens(), file.documents(), file.vocabulary(), file.tokenizer(), human_bytes(corpus.bytes()),
               seconds);
}

/// An existing file is replaced only where it is a token file: a slip of the hand must not cost a text.
void check_target(FileSystem& files, const std::string& out) {
  if (!files.exists(out)) return;
  try {
    const TokenFile existing(files, out);
  } catch (const DataError&) {
    throw ConfigError(
        fmt::format("--out: expected a new file or a token file to replace, found '{}', which is damaged or something "
                    "else; nothing was written: remove it, or choose another name",
                    out));
  }
}

std::unique_ptr<Tokenizer> tokenizer_of(const CommandLine& line) {
  const std::string name = line.text(kTokenizer.name).value_or("bytes");
  const auto vocabulary = line.integer(kVocabulary.name, 1, std::numeric_limits<std::int32_t>::max());
  if (vocabulary.has_value() != (name == "ids"))
    throw ConfigError("expected --tokenizer ids and --vocabulary N together: ids have no vocabulary of their own");
  return make_tokenizer(name, vocabulary.value_or(0));
}

ExitCode run(const CommandLine& line, const Invocation& invocation) {
  const std::vector<std::string> patterns = patterns_of(line);
  const std::optional<std::string> out = line.text(kOut.name);
  if (!out) throw ConfigError("`ferula tokenize` expects where to write: --out FILE.h5");
  const std::unique_ptr<Tokenizer> tokenizer = tokenizer_of(line);
  const std::unique_ptr<FileSystem> files = make_posix_file_system();
  check_target(*files, *out);
  const Stopwatch watch;
  const TextCorpus corpus = survey_text(*files, patterns, *tokenizer, "`ferula tokenize`");
  write_token_file(*files, *out, corpus, *tokenizer, invocation.command);
  show(corpus, TokenFile(*files, *out), watch.seconds());
  return ExitCode::done;
}

}  // namespace

Command tokenize_command() {
  return {
      .name = "tokenize",
      .summary = "Turns text files into an HDF5 token file and shows its statistics.",
      .usage = "ferula tokenize TEXT... --out FILE.h5 [options]",
      .description =
          "TEXT is a file, a folder (every text file in it) or a glob in quotes. Each file becomes one document. The\n"
          "same text gives the same file, byte for byte. A configuration reads it with `[data] tokens = \"FILE.h5\"`.",
      .options = {kText, kOut, kTokenizer, kVocabulary},
      .examples = {"ferula tokenize 'docs/**/*.md' README.md --out docs.h5", "ferula tokenize corpus/ --out corpus.h5"},
      .ranks = CommandRanks::one_process,
      .stop = CommandStop::ends,
      .run = run};
}

}  // namespace ferula
