#include "app/logprob_file.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <limits>
#include <system_error>

namespace ferula {
namespace {

/// A view for writing; HDF5 does not change what it writes.
template <class T>
TensorView view_of(std::span<const T> values) {
  auto* bytes = reinterpret_cast<std::byte*>(const_cast<T*>(values.data()));
  return {bytes, dtype_of<T>, {static_cast<std::int64_t>(values.size())}};
}

Hdf5File create(FileSystem& files, const std::string& path, const std::string& partial) {
  if (files.exists(path))
    throw ConfigError(fmt::format("--logprobs: expected a new file, found '{}'; remove it or give another name", path));
  files.remove(partial);
  return Hdf5File::create(partial);
}

}  // namespace

LogprobFile::LogprobFile(FileSystem& files, const std::string& path, const TextCorpus& corpus,
                         const Tokenizer& tokenizer, const std::string& checkpoint)
    : files_(&files), path_(path), partial_(path + ".partial"), file_(create(files, path, partial_)) {
  const std::array<std::int64_t, 1> shape{corpus.tokens()};
  tokens_ = file_.create_dataset("/tokens", DType::i32, shape);
  logprobs_ = file_.create_dataset("/logprobs", DType::f32, shape);
  file_.write_attribute("/", "format", "ferula-logprobs");
  file_.write_attribute("/", "tokenizer", tokenizer.name());
  file_.write_attribute("/", "checkpoint", checkpoint);
  write_offsets(corpus);
}

void LogprobFile::write_offsets(const TextCorpus& corpus) {
  std::vector<std::int64_t> offsets{0};
  for (const TextSource& source : corpus.sources) offsets.push_back(offsets.back() + source.tokens);
  const std::array<std::int64_t, 1> shape{static_cast<std::int64_t>(offsets.size())};
  file_.create_dataset("/text_offsets", DType::i64, shape).write(0, view_of<std::int64_t>(offsets));
}

void LogprobFile::begin_text(std::span<const std::int32_t> tokens) {
  const std::int64_t begin = text_end_;
  text_end_ += static_cast<std::int64_t>(tokens.size());
  if (tokens.empty()) return;
  tokens_->write(begin, view_of(tokens));
  const std::array<float, 1> unknown{std::numeric_limits<float>::quiet_NaN()};
  logprobs_->write(begin, view_of<float>(unknown));
  written_ = begin + 1;
}

void LogprobFile::add(std::span<const float> losses) {
  staging_.resize(losses.size());
  std::transform(losses.begin(), losses.end(), staging_.begin(), [](float loss) { return -loss; });
  logprobs_->write(written_, view_of<float>(staging_));
  written_ += static_cast<std::int64_t>(losses.size());
}

void LogprobFile::close() {
  tokens_.reset();
  logprobs_.reset();
  file_.close();
  files_->open(partial_, OpenMode::update)->sync();
  files_->rename(partial_, path_, Replace::never);
  is_closed_ = true;
}

/// After an error: a half-written file is of no use.
LogprobFile::~LogprobFile() {
  if (is_closed_) return;
  std::error_code ignored;
  std::filesystem::remove(partial_, ignored);
}

}  // namespace ferula
