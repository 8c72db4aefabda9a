// Fills the model's input with the samples that this rank has in a global batch.
#pragma once

#include <array>
#include <cstdint>

#include "data/sample_order.hpp"
#include "data/token_batch.hpp"
#include "data/token_dataset.hpp"
#include "device/device.hpp"

namespace ferula {

/// How a global batch is cut: micro batches of `micro_batch` samples on each of `data_ranks` ranks, `accumulation`
/// times.
struct BatchShape {
  std::int64_t micro_batch = 1;
  std::int64_t accumulation = 1;
  int data_rank = 0;
  int data_ranks = 1;

  std::int64_t samples_per_micro_step() const { return micro_batch * data_ranks; }
  std::int64_t samples_per_step() const { return samples_per_micro_step() * accumulation; }
};

/// Where a step stands in the run.
struct StepPlace {
  std::int64_t step = 1;          // counted from 1
  std::int64_t samples_seen = 0;  // of the whole run, before this step: the position in the stream of samples
};

/// Bytes of buffers that a BatchLoader takes at its construction, and never again.
std::int64_t batch_loader_bytes(const BatchShape& shape, std::int64_t sequence_length);

/// The global batch of a step is the stream's samples [samples_seen, samples_seen + samples_per_step), in that order:
/// micro batch m gives rank r those from samples_seen + m · samples_per_micro_step + r · micro_batch on. So the batch
/// depends on its size and on samples_seen alone, and a run resumes on any layout from samples_seen.
/// Memory is taken once at construction; a batch that was returned is valid until the next call, for work that `reader`
/// has been given by then: it comes to the device in the order of that stream, always to the same addresses.
class BatchLoader {
 public:
  /// `dataset` and `reader` outlive the loader. `seed` is the run's.
  BatchLoader(const TokenDataset& dataset, std::uint64_t seed, const BatchShape& shape, Device& device, Stream& reader);

  const BatchShape& shape() const { return shape_; }
  /// Rows of every batch.
  std::int64_t rows() const { return shape_.micro_batch * dataset_->sequence_length(); }
  /// Tokens with a target in the global batch, all ranks and micro batches together.
  std::int64_t targets_per_step() const { return shape_.samples_per_step() * dataset_->sequence_length(); }
  /// Passes over the training samples after `samples_seen`.
  double epochs(std::int64_t samples_seen) const;

  /// This rank's part of micro batch `micro` < accumulation of the step.
  const TokenBatch& training(const StepPlace& place, std::int64_t micro);

  /// Batches that every rank goes through to see each sample of the split once.
  std::int64_t evaluation_batches(Split split) const;
  /// This rank's part of evaluation batch `index`, samples in the order of the file. Rows without a sample or behind
  /// the split's end have target −1, so that ranks stay in step; `targets` of the batch counts the others.
  const TokenBatch& evaluation(Split split, std::int64_t index);

 private:
  /// Where the host fills one batch while the device may still be fetching the other.
  struct Place {
    Buffer memory;
    TokenBatch batch;
    Event fetched{};
  };

  TokenBatch views(const Buffer& memory) const;
  TokenBatch& begin_batch();
  const TokenBatch& send_batch();
  void fill(std::int64_t row, Split split, std::int64_t sample, std::int64_t place);
  void fill_padding(std::int64_t row);

  const TokenDataset* dataset_;
  SampleOrder order_;
  BatchShape shape_;
  Device* device_;
  Stream* reader_;
  std::array<Place, 2> places_;  // in turns
  std::size_t current_ = 0;
  Buffer memory_;     // of the device
  TokenBatch batch_;  // in it
};

}  // namespace ferula
