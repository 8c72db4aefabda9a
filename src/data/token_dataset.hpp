// A token file as samples: windows of equal length, the last part of the file kept for validation.
#pragma once

#include <cstdint>
#include <span>

#include "data/token_file.hpp"

namespace ferula {

enum class Split : std::uint8_t { training, validation };

/// Tokens [begin, end) of the file.
struct TokenExtent {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::int64_t count() const { return end - begin; }
  friend bool operator==(const TokenExtent&, const TokenExtent&) = default;
};

/// Sample i of a split reads `sequence_length` tokens from i · sequence_length on and is asked for the token after
/// each, so every token of a split but the first is a target at most once. Training takes whole windows only; the last
/// window of validation may be short, so that validation scores every token.
class TokenDataset {
 public:
  /// The last `validation_fraction` of the tokens, at least one window where it is above 0, are for validation.
  /// With 1 everything is for validation, as `evaluate` wants it. `file` outlives the dataset. DataError where the
  /// training part is shorter than one window and its last target.
  TokenDataset(const TokenFile& file, std::int64_t sequence_length, double validation_fraction);

  std::int64_t sequence_length() const { return sequence_length_; }
  TokenExtent extent(Split split) const { return split == Split::training ? training_ : validation_; }
  /// Windows of the split; 0 for validation where nothing was kept.
  std::int64_t samples(Split split) const;
  /// Fills tokens [sequence_length] and targets [sequence_length]: the token after each, −1 behind the split's end.
  /// Returns the number of targets. Two reads of the file, no allocation.
  std::int64_t read(Split split, std::int64_t sample, std::span<std::int32_t> tokens,
                    std::span<std::int32_t> targets) const;

 private:
  const TokenFile* file_;
  std::int64_t sequence_length_;
  TokenExtent training_;
  TokenExtent validation_;
};

}  // namespace ferula
