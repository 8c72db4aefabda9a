// XXH3-128 of blocks, and reading with verification.
#include "storage/block_hashes.hpp"

#include <xxhash.h>

#include <algorithm>
#include <utility>

#include "base/narrow.hpp"

namespace ferula {
namespace {

std::span<std::byte> first_bytes(std::span<std::byte> bytes, std::int64_t count) {
  return bytes.first(static_cast<std::size_t>(count));
}

/// How many whole blocks the staging memory holds.
std::int64_t capacity_blocks(std::span<std::byte> staging) {
  const std::int64_t blocks = static_cast<std::int64_t>(staging.size()) / kHashBlockBytes;
  FERULA_CHECK(blocks >= 1, "{} bytes of staging", staging.size());
  return blocks;
}

void append_digests(std::span<const std::byte> bytes, std::vector<Digest>& digests) {
  for (std::size_t at = 0; at < bytes.size(); at += kHashBlockBytes)
    digests.push_back(digest_of(bytes.subspan(at, std::min<std::size_t>(kHashBlockBytes, bytes.size() - at))));
}

int value_of_digit(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  return -1;
}

}  // namespace

Digest digest_of(std::span<const std::byte> bytes) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes.data(), bytes.size()));
  Digest digest;
  std::copy(std::begin(canonical.digest), std::end(canonical.digest), digest.bytes.begin());
  return digest;
}

std::string to_hex(const Digest& digest) { return fmt::format("{:02x}", fmt::join(digest.bytes, "")); }

std::optional<Digest> digest_from_hex(std::string_view text) {
  Digest digest;
  if (text.size() != 2 * digest.bytes.size()) return std::nullopt;
  for (std::size_t index = 0; index < digest.bytes.size(); ++index) {
    const int high = value_of_digit(text[2 * index]);
    const int low = value_of_digit(text[2 * index + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    digest.bytes[index] = static_cast<std::uint8_t>(16 * high + low);
  }
  return digest;
}

BlockHashes hash_blocks(File& file, Stream& disk, std::span<std::byte> staging) {
  BlockHashes hashes{.file_bytes = file.bytes(), .blocks = {}};
  const std::int64_t step = capacity_blocks(staging.first(staging.size() / 2)) * kHashBlockBytes;
  const auto chunk_at = [&](std::int64_t begin) {
    const std::int64_t length = std::clamp<std::int64_t>(hashes.file_bytes - begin, 0, step);
    return staging.subspan(static_cast<std::size_t>(begin / step % 2 * step), static_cast<std::size_t>(length));
  };
  const auto start = [&](std::int64_t begin) {
    file.start_read(disk, begin, chunk_at(begin));
    return disk.record();
  };
  Event ready = start(0);
  for (std::int64_t begin = 0; begin < hashes.file_bytes; begin += step) {
    const Event arrived = std::exchange(ready, start(begin + step));
    disk.synchronize(arrived.ticket);
    append_digests(chunk_at(begin), hashes.blocks);
  }
  disk.synchronize();
  return hashes;
}

VerifiedFile::VerifiedFile(FileSystem& files, const std::string& path, BlockHashes hashes, std::span<std::byte> staging)
    : file_(files.open(path, OpenMode::read)), hashes_(std::move(hashes)), staging_(staging) {
  FERULA_CHECK(ceil_div(hashes_.file_bytes, kHashBlockBytes) == static_cast<std::int64_t>(hashes_.blocks.size()),
               "{} bytes in {} blocks", hashes_.file_bytes, hashes_.blocks.size());
  const std::int64_t found = file_->bytes();
  if (found != hashes_.file_bytes)
    throw DamageError(fmt::format("{}: expected {} bytes, found {}", path, hashes_.file_bytes, found));
}

ByteRange VerifiedFile::bytes_of_blocks(std::int64_t first, std::int64_t end) const {
  return {first * kHashBlockBytes, std::min(end * kHashBlockBytes, hashes_.file_bytes)};
}

/// Reads blocks [first_block, end_block), as many as the staging memory holds, without verifying them.
void VerifiedFile::load(std::int64_t first_block, std::int64_t end_block) {
  staged_end_ = staged_begin_ = first_block;
  const std::int64_t end = std::min(end_block, first_block + capacity_blocks(staging_));
  const ByteRange range = bytes_of_blocks(first_block, end);
  file_->read_at(range.begin, first_bytes(staging_, range.end - range.begin));
  bytes_read_ += range.end - range.begin;
  staged_end_ = end;
}

bool VerifiedFile::staged_block_is_good(std::int64_t block) const {
  const ByteRange range = bytes_of_blocks(block, block + 1);
  const auto bytes = staging_.subspan(static_cast<std::size_t>(range.begin - staged_begin_ * kHashBlockBytes),
                                      static_cast<std::size_t>(range.end - range.begin));
  return digest_of(bytes) == hashes_.blocks[static_cast<std::size_t>(block)];
}

void VerifiedFile::load_verified(std::int64_t first_block, std::int64_t end_block) {
  load(first_block, end_block);
  for (std::int64_t block = staged_begin_; block < staged_end_; ++block) {
    if (staged_block_is_good(block)) continue;
    const ByteRange bad = bytes_of_blocks(block, block + 1);
    staged_end_ = staged_begin_;
    throw DamageError(fmt::format("{}: bytes {} to {} are not what was written (their hash differs)", file_->path(),
                                  bad.begin, bad.end));
  }
}

void VerifiedFile::read_at(std::int64_t position, std::int64_t count,
                           const std::function<void(std::span<const std::byte>)>& take) {
  const std::int64_t end = position + count;
  FERULA_CHECK(position >= 0 && end <= bytes(), "bytes [{}, {}) of {}", position, end, bytes());
  for (std::int64_t at = position; at < end;) {
    const std::int64_t block = at / kHashBlockBytes;
    if (block < staged_begin_ || block >= staged_end_) load_verified(block, ceil_div(end, kHashBlockBytes));
    const std::int64_t staged_until = bytes_of_blocks(staged_begin_, staged_end_).end;
    const std::int64_t piece = std::min(end, staged_until) - at;
    take(staging_.subspan(static_cast<std::size_t>(at - staged_begin_ * kHashBlockBytes),
                          static_cast<std::size_t>(piece)));
    at += piece;
  }
}

void VerifiedFile::read_at(std::int64_t position, std::span<std::byte> target) {
  auto to = target.begin();
  read_at(position, static_cast<std::int64_t>(target.size()),
          [&to](std::span<const std::byte> piece) { to = std::copy(piece.begin(), piece.end(), to); });
}

std::vector<ByteRange> VerifiedFile::damaged_ranges() {
  std::vector<ByteRange> damaged;
  const auto blocks = static_cast<std::int64_t>(hashes_.blocks.size());
  for (std::int64_t block = 0; block < blocks; ++block) {
    if (block < staged_begin_ || block >= staged_end_) load(block, blocks);
    if (!staged_block_is_good(block)) damaged.push_back(bytes_of_blocks(block, block + 1));
  }
  staged_end_ = staged_begin_;
  return damaged;
}

}  // namespace ferula
