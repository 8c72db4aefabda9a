#include "data/token_dataset.hpp"

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "base/narrow.hpp"

namespace ferula {

TokenDataset::TokenDataset(const TokenFile& file, std::int64_t sequence_length, double validation_fraction)
    : file_(&file), sequence_length_(sequence_length) {
  FERULA_CHECK(sequence_length > 0, "a sequence has tokens, got {}", sequence_length);
  FERULA_CHECK(validation_fraction >= 0.0 && validation_fraction <= 1.0, "the validation fraction is {}",
               validation_fraction);
  if (validation_fraction == 1.0) {
    if (file.tokens() < 2) throw DataError(fmt::format("{}: expected at least 2 tokens, found 1", file.path()));
    validation_ = {0, file.tokens()};
    return;
  }
  const std::int64_t window = sequence_length + 1;
  std::int64_t kept = 0;
  if (validation_fraction > 0.0) {
    const double share = validation_fraction * static_cast<double>(file.tokens());
    kept = std::max(window, static_cast<std::int64_t>(std::llround(share)));
  }
  if (file.tokens() < kept + window) {
    throw DataError(fmt::format(
        "{}: expected at least {} tokens for one training sample (sequence_length + 1 = {}) and validation ({}), found "
        "{}; give more text, a shorter data.sequence_length, or a smaller data.validation_fraction",
        file.path(), kept + window, window, kept, file.tokens()));
  }
  training_ = {0, file.tokens() - kept};
  validation_ = {file.tokens() - kept, file.tokens()};
}

std::int64_t TokenDataset::samples(Split split) const {
  const std::int64_t targets = std::max<std::int64_t>(0, extent(split).count() - 1);
  return split == Split::training ? targets / sequence_length_ : ceil_div(targets, sequence_length_);
}

std::int64_t TokenDataset::read(Split split, std::int64_t sample, std::span<std::int32_t> tokens,
                                std::span<std::int32_t> targets) const {
  FERULA_CHECK(sample >= 0 && sample < samples(split), "sample {} of {}", sample, samples(split));
  FERULA_CHECK(std::ssize(tokens) == sequence_length_ && std::ssize(targets) == sequence_length_,
               "room for {} and {} tokens of {}", tokens.size(), targets.size(), sequence_length_);
  const TokenExtent part = extent(split);
  const std::int64_t begin = part.begin + sample * sequence_length_;
  const std::int64_t count = std::min(sequence_length_, part.end - 1 - begin);
  const auto used = static_cast<std::size_t>(count);
  file_->read(begin, tokens.first(used));
  std::copy_n(tokens.begin() + 1, count - 1, targets.begin());
  file_->read(begin + count, targets.subspan(used - 1, 1));
  std::fill(tokens.begin() + count, tokens.end(), 0);
  std::fill(targets.begin() + count, targets.end(), -1);
  return count;
}

}  // namespace ferula
