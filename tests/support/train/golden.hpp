// The golden files of tests/oracles: a tiny model of each family as transformers, PyTorch and DeepSpeed computed it.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "data/token_batch.hpp"
#include "model/transformer_spec.hpp"
#include "params/parameter_store.hpp"
#include "storage/hdf5_file.hpp"

namespace ferula::test {

/// An open golden file. tests/oracles/golden.py writes it and knows the same sizes.
class Golden {
 public:
  static constexpr std::int64_t kBatches = 8;
  static constexpr std::int64_t kSequences = 4;
  static constexpr std::int64_t kLength = 24;

  explicit Golden(std::string family);

  TransformerSpec spec() const;
  /// Sequences [first, first + count) of a batch; owns what `view` shows.
  class Batch {
   public:
    TokenBatch view();

   private:
    friend class Golden;
    std::vector<std::int32_t> token_, position_, target_, starts_, slot_;
    std::vector<std::int64_t> sample_, step_{1};
  };
  Batch batch(std::int64_t index, std::int64_t first, std::int64_t count) const;

  std::vector<float> floats(const std::string& dataset) const;
  std::vector<double> doubles(const std::string& dataset) const;
  /// The initial weights, into every piece that the store of a rank needs.
  void load_weights(ParameterStore& store) const;

 private:
  std::string family_;
  Hdf5File file_;
};

}  // namespace ferula::test
