#include "train/batch_loader.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/narrow.hpp"

namespace ferula {

namespace {

constexpr std::int64_t kPlaces = 2;
constexpr std::int64_t kAlignment = 64;

std::int64_t place_of(DType dtype, std::int64_t count) { return round_up(bytes_of(dtype, count), kAlignment); }

std::int64_t bytes_of_batch(std::int64_t rows, std::int64_t sequences) {
  return 3 * place_of(DType::i32, rows) + place_of(DType::i64, rows) + place_of(DType::i32, sequences + 1) +
         place_of(DType::i64, 1);
}

}  // namespace

std::int64_t batch_loader_bytes(const BatchShape& shape, std::int64_t sequence_length) {
  return (kPlaces + 1) * bytes_of_batch(shape.micro_batch * sequence_length, shape.micro_batch);
}

BatchLoader::BatchLoader(const TokenDataset& dataset, std::uint64_t seed, const BatchShape& shape, Device& device,
                         Stream& reader)
    : dataset_(&dataset),
      order_(seed, std::max<std::int64_t>(1, dataset.samples(Split::training))),
      shape_(shape),
      device_(&device),
      reader_(&reader) {
  FERULA_CHECK(shape.micro_batch > 0 && shape.accumulation > 0, "{} samples, {} times", shape.micro_batch,
               shape.accumulation);
  FERULA_CHECK(shape.data_rank >= 0 && shape.data_rank < shape.data_ranks, "rank {} of {}", shape.data_rank,
               shape.data_ranks);
  const std::int64_t bytes = bytes_of_batch(rows(), shape.micro_batch);
  memory_ = device.allocate(bytes, MemoryKind::buffers);
  batch_ = views(memory_);
  const std::int64_t length = dataset.sequence_length();
  for (Place& place : places_) {
    place.memory = device.allocate_shared(bytes, MemoryKind::buffers);
    place.batch = views(place.memory);
    const auto positions = place.batch.position.span<std::int32_t>();
    for (std::size_t row = 0; row < positions.size(); ++row)
      positions[row] = narrow<std::int32_t>(static_cast<std::int64_t>(row) % length);
    const auto starts = place.batch.starts.span<std::int32_t>();
    for (std::size_t i = 0; i < starts.size(); ++i)
      starts[i] = narrow<std::int32_t>(static_cast<std::int64_t>(i) * length);
  }
  batch_.starts = places_.front().batch.starts;  // of all batches; the host can read these, too
}

TokenBatch BatchLoader::views(const Buffer& memory) const {
  TokenBatch batch;
  std::byte* next = memory.data();
  const auto take = [&next](DType dtype, std::int64_t count) {
    const TensorView view(next, dtype, {count});
    next += place_of(dtype, count);
    return view;
  };
  batch.token = take(DType::i32, rows());
  batch.position = take(DType::i32, rows());
  batch.target = take(DType::i32, rows());
  batch.sample = take(DType::i64, rows());
  batch.starts = take(DType::i32, shape_.micro_batch + 1);
  batch.step = take(DType::i64, 1);
  batch.rows = rows();
  return batch;
}

/// The other place, when the device has fetched what it held.
TokenBatch& BatchLoader::begin_batch() {
  current_ = (current_ + 1) % places_.size();
  Place& place = places_[current_];
  reader_->synchronize(place.fetched.ticket);
  place.batch.targets = 0;
  return place.batch;
}

const TokenBatch& BatchLoader::send_batch() {
  Place& place = places_[current_];
  device_->copy(*reader_, place.memory.data(), memory_.data(), memory_.bytes());
  place.fetched = reader_->record();
  batch_.targets = place.batch.targets;
  return batch_;
}

double BatchLoader::epochs(std::int64_t samples_seen) const {
  return static_cast<double>(samples_seen) / static_cast<double>(order_.samples());
}

void BatchLoader::fill(std::int64_t row, Split split, std::int64_t sample, std::int64_t place) {
  const std::int64_t length = dataset_->sequence_length();
  TokenBatch& batch = places_[current_].batch;
  const auto tokens = batch.token.range(row, length).span<std::int32_t>();
  const auto targets = batch.target.range(row, length).span<std::int32_t>();
  batch.targets += dataset_->read(split, sample, tokens, targets);
  std::ranges::fill(batch.sample.range(row, length).span<std::int64_t>(), place);
}

void BatchLoader::fill_padding(std::int64_t row) {
  const std::int64_t length = dataset_->sequence_length();
  const TokenBatch& batch = places_[current_].batch;
  std::ranges::fill(batch.token.range(row, length).span<std::int32_t>(), 0);
  std::ranges::fill(batch.target.range(row, length).span<std::int32_t>(), -1);
  std::ranges::fill(batch.sample.range(row, length).span<std::int64_t>(), 0);
}

const TokenBatch& BatchLoader::training(const StepPlace& place, std::int64_t micro) {
  FERULA_CHECK(micro >= 0 && micro < shape_.accumulation, "micro batch {} of {}", micro, shape_.accumulation);
  FERULA_CHECK(dataset_->samples(Split::training) > 0, "the dataset has no training samples");
  const TokenBatch& batch = begin_batch();
  batch.step.span<std::int64_t>()[0] = place.step;
  const std::int64_t first =
      place.samples_seen + micro * shape_.samples_per_micro_step() + shape_.data_rank * shape_.micro_batch;
  for (std::int64_t i = 0; i < shape_.micro_batch; ++i) {
    fill(i * dataset_->sequence_length(), Split::training, order_.index(first + i), first + i);
  }
  return send_batch();
}

std::int64_t BatchLoader::evaluation_batches(Split split) const {
  return ceil_div(dataset_->samples(split), shape_.samples_per_micro_step());
}

const TokenBatch& BatchLoader::evaluation(Split split, std::int64_t index) {
  FERULA_CHECK(index >= 0 && index < evaluation_batches(split), "batch {} of {}", index, evaluation_batches(split));
  begin_batch();
  const std::int64_t first = index * shape_.samples_per_micro_step() + shape_.data_rank * shape_.micro_batch;
  for (std::int64_t i = 0; i < shape_.micro_batch; ++i) {
    const std::int64_t row = i * dataset_->sequence_length();
    if (first + i < dataset_->samples(split)) {
      fill(row, split, first + i, first + i);
    } else {
      fill_padding(row);
    }
  }
  return send_batch();
}

}  // namespace ferula
