// Proof that the bytes of a file are the ones that were written: XXH3-128 of each block, checked before a byte is used.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "storage/file_system.hpp"

namespace ferula {

/// An XXH3-128 hash in its canonical (big-endian) order of bytes.
struct Digest {
  std::array<std::uint8_t, 16> bytes{};
  friend bool operator==(const Digest&, const Digest&) = default;
};

Digest digest_of(std::span<const std::byte> bytes);
inline Digest digest_of(std::string_view text) { return digest_of(bytes_of_text(text)); }
/// 32 lower-case hexadecimal digits.
std::string to_hex(const Digest& digest);
/// Nothing where `text` is not 32 lower-case hexadecimal digits.
std::optional<Digest> digest_from_hex(std::string_view text);

inline constexpr std::int64_t kHashBlockBytes = std::int64_t{256} * 1024;

/// Bytes [begin, end) of a file.
struct ByteRange {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  friend bool operator==(const ByteRange&, const ByteRange&) = default;
};

/// The size of a file and the hash of each of its blocks; the last one may be shorter.
struct BlockHashes {
  std::int64_t file_bytes = 0;
  std::vector<Digest> blocks;
};

/// Reads the file once through `staging`, which holds at least two blocks: one half fills on `disk` while the other is
/// hashed. Reads after what `disk` has been given so far.
BlockHashes hash_blocks(File& file, Stream& disk, std::span<std::byte> staging);

/// Reads ranges of a file of which every block that is touched was compared with its hash. Ranges in ascending order
/// read each block once.
class VerifiedFile {
 public:
  /// Opens `path`; DamageError where it is missing or has another size. `staging` holds at least one block.
  VerifiedFile(FileSystem& files, const std::string& path, BlockHashes hashes, std::span<std::byte> staging);

  /// Hands bytes [position, position + bytes) to `take`, verified, in pieces as large as the staging memory allows; a
  /// piece lies in the staging memory until `take` returns. DamageError that names the file and the first damaged byte
  /// range.
  void read_at(std::int64_t position, std::int64_t bytes, const std::function<void(std::span<const std::byte>)>& take);
  /// The same into `target`, which is undefined after an error.
  void read_at(std::int64_t position, std::span<std::byte> target);
  /// Reads the whole file and returns the byte ranges of the blocks that are not what was written.
  std::vector<ByteRange> damaged_ranges();
  /// Bytes read from the disk, rests of blocks included.
  std::int64_t bytes_read() const { return bytes_read_; }
  std::int64_t bytes() const { return hashes_.file_bytes; }

 private:
  void load(std::int64_t first_block, std::int64_t end_block);
  void load_verified(std::int64_t first_block, std::int64_t end_block);
  ByteRange bytes_of_blocks(std::int64_t first, std::int64_t end) const;
  bool staged_block_is_good(std::int64_t block) const;

  std::unique_ptr<File> file_;
  BlockHashes hashes_;
  std::span<std::byte> staging_;
  std::int64_t staged_begin_ = 0;  // blocks [staged_begin_, staged_end_) are in `staging_` and verified
  std::int64_t staged_end_ = 0;
  std::int64_t bytes_read_ = 0;
};

}  // namespace ferula
