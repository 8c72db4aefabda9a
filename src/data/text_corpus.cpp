#include "data/text_corpus.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <numeric>
#include <set>

#include "data/glob.hpp"

namespace ferula {

namespace {

namespace fs = std::filesystem;

/// How a file came in: an unusable one is a mistake where the user meant it, and none in the depth of a folder.
enum class Origin : std::uint8_t { named, matched, found_in_folder };

struct Candidate {
  std::string path;
  Origin origin;
};

constexpr std::size_t kShownProblems = 20;

/// Splits `pattern` into candidates, or says in `problems` why there are none.
std::vector<Candidate> candidates_of(const std::string& pattern, std::vector<std::string>& problems) {
  std::error_code error;
  std::vector<Candidate> found;
  const auto add_all = [&found](const std::vector<std::string>& paths, Origin origin) {
    for (const auto& path : paths) found.push_back({path, origin});
  };
  const fs::file_status status = fs::status(pattern, error);
  if (fs::is_directory(status)) {
    add_all(files_below(pattern), Origin::found_in_folder);
    if (found.empty()) problems.push_back(fmt::format("{}: the folder holds no files", pattern));
  } else if (fs::exists(status)) {
    found.push_back({pattern, Origin::named});
  } else if (is_glob(pattern)) {
    add_all(expand_glob(pattern), Origin::matched);
    if (found.empty()) {
      problems.push_back(fmt::format("{}: no file matches; looked from {}", pattern, fs::current_path(error).string()));
    }
  } else {
    problems.push_back(fmt::format("{}: no such file or folder; looked for {}", pattern,
                                   fs::absolute(pattern, error).lexically_normal().string()));
  }
  return found;
}

/// What is wrong with a file that was read; empty when it can be used.
std::string fault_of(const TextSource& source, std::int64_t zero_byte_at) {
  if (zero_byte_at >= 0) return fmt::format("not text: a zero byte at offset {}", zero_byte_at);
  if (source.bytes == 0) return "empty";
  if (source.path.find('\n') != std::string::npos) return "its name holds a line break";
  return {};
}

bool is_tolerated(Origin origin, const TextSource& source) {
  return origin == Origin::found_in_folder || (origin == Origin::matched && source.bytes == 0);
}

void survey_file(FileSystem& files, const Candidate& candidate, const Tokenizer& tokenizer, TextCorpus& corpus,
                 std::vector<std::string>& problems) {
  std::int64_t zero_byte_at = -1;
  std::int64_t tokens = 0;
  std::int64_t position = 0;
  std::vector<std::int32_t> scratch;
  PieceEncoder encoder(tokenizer);
  TextSource source;
  try {
    source = read_in_pieces(files, candidate.path, [&](std::string_view piece) {
      const std::size_t zero = piece.find('\0');
      if (zero_byte_at < 0 && zero != std::string_view::npos) {
        zero_byte_at = position + static_cast<std::int64_t>(zero);
      }
      position += static_cast<std::int64_t>(piece.size());
      scratch.clear();
      if (zero_byte_at < 0) encoder.encode(piece, scratch);
      tokens += std::ssize(scratch);
    });
    scratch.clear();
    if (zero_byte_at < 0) encoder.finish(scratch);
    tokens += std::ssize(scratch);
  } catch (const Error& error) {
    const std::string problem = error.what();
    problems.push_back(problem.starts_with(candidate.path) ? problem : fmt::format("{}: {}", candidate.path, problem));
    return;
  }
  source.tokens = tokens;
  const std::string fault = fault_of(source, zero_byte_at);
  if (fault.empty()) {
    corpus.sources.push_back(std::move(source));
  } else {
    auto& list = is_tolerated(candidate.origin, source) ? corpus.skipped : problems;
    list.push_back(fmt::format("{}: {}", candidate.path, fault));
  }
}

[[noreturn]] void refuse(std::vector<std::string> problems, std::string_view giver) {
  const std::size_t all = problems.size();
  problems.resize(std::min(all, kShownProblems));
  throw DataError(fmt::format("expected readable text for {}, found:\n  {}{}", giver, fmt::join(problems, "\n  "),
                              all > kShownProblems ? fmt::format("\n  and {} more", all - kShownProblems) : ""));
}

}  // namespace

std::int64_t TextCorpus::bytes() const {
  return std::accumulate(sources.begin(), sources.end(), std::int64_t{0},
                         [](std::int64_t sum, const TextSource& source) { return sum + source.bytes; });
}

std::int64_t TextCorpus::tokens() const {
  return std::accumulate(sources.begin(), sources.end(), std::int64_t{0},
                         [](std::int64_t sum, const TextSource& source) { return sum + source.tokens; });
}

TextSource read_in_pieces(FileSystem& files, const std::string& path,
                          const std::function<void(std::string_view)>& piece) {
  std::error_code error;
  if (!fs::is_regular_file(path, error)) throw DataError(fmt::format("{}: not a regular file", path));
  const auto file = files.open(path, OpenMode::read);
  TextSource source{.path = path, .bytes = file->bytes(), .tokens = 0, .digest = {}};
  std::string buffer(static_cast<std::size_t>(std::min(source.bytes, kHashBlockBytes)), '\0');
  std::string digests;
  for (std::int64_t begin = 0; begin < source.bytes; begin += kHashBlockBytes) {
    buffer.resize(static_cast<std::size_t>(std::min(kHashBlockBytes, source.bytes - begin)));
    file->read_at(begin, std::as_writable_bytes(std::span(buffer)));
    const Digest digest = digest_of(buffer);
    digests.append(digest.bytes.begin(), digest.bytes.end());
    piece(buffer);
  }
  source.digest = digest_of(digests);
  return source;
}

void PieceEncoder::encode(std::string_view piece, std::vector<std::int32_t>& tokens) {
  constexpr std::size_t kMostOpenBytes = 4096;  // far above any token: what waits longer is none
  const std::size_t whole = tokenizer_->whole_bytes(piece);
  open_ += piece.substr(0, whole);
  if (whole > 0 || open_.size() + piece.size() > kMostOpenBytes) {
    tokenizer_->encode(open_, tokens);
    open_.clear();
  }
  open_ += piece.substr(whole);
}

void PieceEncoder::finish(std::vector<std::int32_t>& tokens) {
  tokenizer_->encode(open_, tokens);
  open_.clear();
}

TextCorpus survey_text(FileSystem& files, std::span<const std::string> patterns, const Tokenizer& tokenizer,
                       std::string_view giver, const PathFilter& is_output) {
  TextCorpus corpus;
  std::vector<std::string> problems;
  std::set<std::string> seen;
  std::size_t outputs = 0;
  if (patterns.empty()) problems.emplace_back("no file, folder or glob");
  for (const auto& pattern : patterns) {
    for (const auto& candidate : candidates_of(pattern, problems)) {
      if (candidate.origin != Origin::named && is_output && is_output(candidate.path)) {
        ++outputs;
        continue;
      }
      const std::string place = fs::path(candidate.path).lexically_normal().string();
      if (seen.insert(place).second) survey_file(files, candidate, tokenizer, corpus, problems);
    }
  }
  if (outputs > 0) corpus.skipped.push_back(fmt::format("{} files of runs: they grow while the text is read", outputs));
  if (problems.empty() && corpus.sources.empty()) {
    problems = corpus.skipped;
    problems.emplace_back("so there is no text at all");
  }
  if (!problems.empty()) refuse(std::move(problems), giver);
  return corpus;
}

Digest content_key(const TextCorpus& corpus, const Tokenizer& tokenizer) {
  std::string text = fmt::format("{}\n{}\n", tokenizer.name(), tokenizer.vocabulary());
  for (const auto& source : corpus.sources) {
    text += fmt::format("{}\n{}\n{}\n", source.path, source.bytes, to_hex(source.digest));
  }
  return digest_of(text);
}

}  // namespace ferula
