// What the model of a tiny run answers when it reads a text: how tests of generation compare devices.
#pragma once

#include <vector>

#include "generate/decode_model.hpp"
#include "support/train/tiny_run.hpp"

namespace ferula::test {

/// The logits behind each piece of a text that is read in three pieces, as rank 0 has them.
inline std::vector<float> logits_of(const TinyRun& run) {
  std::vector<float> all;
  on_tiny_ranks(run, tiny_dataset(), [&](TinyRank& rank) {
    TransformerDecoder decoder(rank.transformer, rank.execution);
    std::int64_t first = 0;
    for (const std::vector<std::int32_t>& piece : {std::vector<std::int32_t>{72, 101, 108}, {108}, {111, 33}}) {
      const std::span<const float> logits = decoder.read(piece, first);
      first += std::ssize(piece);
      if (rank.rank.mesh.rank() == 0) all.insert(all.end(), logits.begin(), logits.end());
    }
  });
  return all;
}

}  // namespace ferula::test
