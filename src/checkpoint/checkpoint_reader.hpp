// Fills the pieces that one rank needs from a checkpoint, whatever layout wrote it.
#pragma once

#include <span>
#include <string>

#include "checkpoint/read_plan.hpp"
#include "device/device.hpp"
#include "storage/file_system.hpp"

namespace ferula {

/// Bytes from disk, for messages and tests.
struct ReadStatistics {
  std::int64_t needed_bytes = 0;  // of the pieces
  std::int64_t data_bytes = 0;    // read from shards: needed ones and the rests of hash blocks
  std::int64_t table_bytes = 0;   // manifest and hash tables
};

/// Bytes of buffers that a rank takes while it reads.
std::int64_t checkpoint_reading_bytes();

/// Reads straight from the shard files by the manifest; every block is compared with its hash before a byte of it is
/// used. HDF5 is not involved. Not collective.
class CheckpointReader {
 public:
  /// Verifies the manifest. `checkpoint`: a folder step-….
  CheckpointReader(FileSystem& files, Device& device, std::string checkpoint);

  const Manifest& manifest() const { return manifest_; }
  const std::string& checkpoint() const { return checkpoint_; }
  /// The resolved configuration of the run that wrote it.
  std::string config_text() const;

  /// DataError that names everything that does not fit (before any data is read); DamageError that names file, tensor
  /// and elements, after which the pieces are undefined. No other work on the pieces may be under way. Cost: each
  /// touched hash block is read once, 1 MiB of buffers.
  void read(std::span<const OwnedPiece> needed, ReadScope scope);
  const ReadStatistics& statistics() const { return statistics_; }

 private:
  void read_shard(std::span<const PlannedRead> reads, std::span<std::byte> staging, Stream& copies);

  FileSystem* files_;
  Device* device_;
  std::string checkpoint_;
  Manifest manifest_;
  ReadStatistics statistics_;
};

}  // namespace ferula
