// Reading one rank's pieces, shard by shard in the order of the bytes.
#include "checkpoint/checkpoint_reader.hpp"

#include <algorithm>

#include "checkpoint/checkpoint_folder.hpp"
#include "checkpoint/shard_table.hpp"

namespace ferula {
namespace {

constexpr std::int64_t kStagingBytes = 4 * kHashBlockBytes;

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
      std::byte* to = read.target.data();
      file.read_at(read.position, static_cast<std::int64_t>(read.target.size()), [&](std::span<const std::byte> piece) {
        device_->copy(copies, piece.data(), to, std::ssize(piece));
        copies.synchronize();  // the next piece takes the same memory of the host
        to += piece.size();
      });
    } catch (const DamageError& damage) {
      throw DamageError(fmt::format("{}; they hold elements of {} ({}) from {} on", damage.what(), read.tensor,
                                    read.role, read.first_element));
    }
    statistics_.needed_bytes += static_cast<std::int64_t>(read.target.size());
  }
  statistics_.data_bytes += file.bytes_read();
  statistics_.table_bytes += static_cast<std::int64_t>(text.size());
}

}  // namespace ferula
