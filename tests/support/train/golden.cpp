#include "support/train/golden.hpp"

#include <algorithm>

namespace ferula::test {
namespace {

template <class T>
std::vector<T> read_all(const Hdf5File& file, const std::string& name) {
  const Hdf5Dataset dataset = file.dataset(name);
  std::vector<T> values(static_cast<std::size_t>(dataset.count()));
  dataset.read(0, {reinterpret_cast<std::byte*>(values.data()), dtype_of<T>, {dataset.count()}});
  return values;
}

template <class T>
TensorView view_of(std::vector<T>& values) {
  return {reinterpret_cast<std::byte*>(values.data()), dtype_of<T>, {static_cast<std::int64_t>(values.size())}};
}

}  // namespace

Golden::Golden(std::string family)
    : family_(std::move(family)),
      file_(Hdf5File::open(std::string(FERULA_SOURCE_DIR) + "/tests/oracles/golden/" + family_ + ".h5")) {}

TransformerSpec Golden::spec() const {
  TransformerSpec spec;
  spec.family = model_family(family_);
  spec.layers = 2;
  spec.width = 48;
  spec.heads = 3;
  spec.kv_heads = family_ == "llama" ? 1 : 3;
  spec.head_dim = 16;
  spec.ffn_width = 96;
  spec.context = 32;
  spec.vocabulary = spec.tokens = 61;
  spec.tied = family_ == "gpt2";
  return spec;
}

Golden::Batch Golden::batch(std::int64_t index, std::int64_t first, std::int64_t count) const {
  const std::vector<std::int32_t> tokens = read_all<std::int32_t>(file_, "/tokens");
  Batch batch;
  batch.starts_.push_back(0);
  for (std::int64_t sequence = first; sequence < first + count; ++sequence) {
    const std::int64_t begin = ((index % kBatches) * kSequences + sequence) * (kLength + 1);
    for (std::int64_t position = 0; position < kLength; ++position) {
      batch.token_.push_back(tokens.at(static_cast<std::size_t>(begin + position)));
      batch.target_.push_back(tokens.at(static_cast<std::size_t>(begin + position + 1)));
      batch.position_.push_back(static_cast<std::int32_t>(position));
      batch.sample_.push_back(sequence);
      batch.slot_.push_back(static_cast<std::int32_t>(sequence - first));
    }
    batch.starts_.push_back(static_cast<std::int32_t>(batch.token_.size()));
  }
  return batch;
}

TokenBatch Golden::Batch::view() {
  const auto rows = static_cast<std::int64_t>(token_.size());
  return {.token = view_of(token_),
          .position = view_of(position_),
          .target = view_of(target_),
          .sample = view_of(sample_),
          .starts = view_of(starts_),
          .kv_block = view_of(slot_),
          .step = view_of(step_),
          .rows = rows,
          .targets = rows};
}

std::vector<float> Golden::floats(const std::string& dataset) const { return read_all<float>(file_, dataset); }

std::vector<double> Golden::doubles(const std::string& dataset) const { return read_all<double>(file_, dataset); }

void Golden::load_weights(ParameterStore& store) const {
  for (const OwnedPiece& piece : store.needed_pieces()) {
    if (piece.role != "value") continue;
    const std::vector<float> whole = floats("/weights/" + piece.tensor);
    std::copy_n(whole.begin() + piece.offset, piece.data.count(), piece.data.span<float>().begin());
  }
  store.adopt_loaded_state(false);
}

}  // namespace ferula::test
