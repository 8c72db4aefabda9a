// Reading one rank's pieces, shard by shard in the order of the bytes.
#include "checkpoint/checkpoint_reader.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

#include "checkpoint/checkpoint_folder.hpp"
#include "checkpoint/shard_table.hpp"

namespace ferula {
namespace {

constexpr std::int64_t kStagingBytes = 4 * kHashBlockBytes;

/// Brings the bytes of a planned read to their target, in its dtype.
class ElementSink {
 public:
  ElementSink(const PlannedRead& read, Device& device, Stream& copies)
      : read_(&read), device_(&device), copies_(&copies), to_(read.target.data) {}

  void take(std::span<const std::byte> bytes) {
    if (read_->stored == read_->target.dtype) return copy(bytes);
    open_.insert(open_.end(), bytes.begin(), bytes.end());  // a piece may end within an element
    const std::size_t whole = open_.size() / stored_width() * stored_width();
    convert(std::span(open_).first(whole));
    open_.erase(open_.begin(), open_.begin() + static_cast<std::ptrdiff_t>(whole));
  }

 private:
  std::size_t stored_width() const { return static_cast<std::size_t>(bytes_of(read_->stored)); }

  void convert(std::span<const std::byte> elements) {
    if (read_->stored == DType::bf16)
      convert_all<bf16, float>(elements);
    else
      convert_all<float, bf16>(elements);
  }

  template <class Stored, class Wanted>
  void convert_all(std::span<const std::byte> elements) {
    std::vector<Wanted> wanted(elements.size() / sizeof(Stored));
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      Stored stored;
      std::memcpy(&stored, elements.data() + i * sizeof(Stored), sizeof(Stored));
      wanted[i] = static_cast<Wanted>(stored);
    }
    copy(std::as_bytes(std::span(wanted)));
  }

  void copy(std::span<const std::byte> bytes) {
    device_->copy(*copies_, bytes.data(), to_, std::ssize(bytes));
    copies_->synchronize();  // the next piece takes the same memory of the host
    to_ += bytes.size();
  }

  const PlannedRead* read_;
  Device* device_;
  Stream* copies_;
  std::byte* to_;
  std::vector<std::byte> open_;
};

}  // namespace

std::int64_t checkpoint_reading_bytes() { return kStagingBytes; }

CheckpointReader::CheckpointReader(FileSystem& files, Device& device, std::string checkpoint)
    : files_(&files),
      device_(&device),
      checkpoint_(std::move(checkpoint)),
      manifest_(load_manifest(files, checkpoint_)) {}

std::string CheckpointReader::config_text() const { return load_text(*files_, checkpoint_, manifest_, kConfigName); }

void CheckpointReader::read(std::span<const OwnedPiece> needed, ReadScope scope) {
  const std::vector<PlannedRead> reads = plan_reads(manifest_, needed, scope, checkpoint_);
  if (reads.empty()) return;
  const Buffer staging = device_->allocate_shared(kStagingBytes, MemoryKind::buffers);
  const std::unique_ptr<Stream> copies = device_->make_stream();
  for (auto first = reads.begin(); first != reads.end();) {
    const auto last = std::find_if(first, reads.end(), [&](const auto& read) { return read.shard != first->shard; });
    read_shard({first, last}, {staging.data(), static_cast<std::size_t>(staging.bytes())}, *copies);
    first = last;
  }
}

void CheckpointReader::read_shard(std::span<const PlannedRead> reads, std::span<std::byte> staging, Stream& copies) {
  const ShardEntry& shard = manifest_.shards[static_cast<std::size_t>(reads.front().shard)];
  const std::string text = load_text(*files_, checkpoint_, manifest_, shard.table);
  BlockHashes hashes = parse_shard_table(text, join_path(checkpoint_, shard.table)).hashes;
  VerifiedFile file(*files_, join_path(checkpoint_, shard.name), std::move(hashes), staging);
  for (const PlannedRead& read : reads) {
    try {
      ElementSink sink(read, *device_, copies);
      file.read_at(read.position, read.stored_bytes(), [&](std::span<const std::byte> piece) { sink.take(piece); });
    } catch (const DamageError& damage) {
      throw DamageError(
          fmt::format("{}; they hold elements of {} ({}) from {} on, and perhaps of others, which `ferula "
                      "checkpoint verify` names",
                      damage.what(), read.tensor, read.role, read.first_element));
    }
    statistics_.needed_bytes += read.stored_bytes();
  }
  statistics_.data_bytes += file.bytes_read();
  statistics_.table_bytes += static_cast<std::int64_t>(text.size());
}

}  // namespace ferula
