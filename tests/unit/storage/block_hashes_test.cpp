// Hashes of blocks: every changed byte is found before it is given out, and little more than needed is read.
#include "storage/block_hashes.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "device/cpu_stream.hpp"
#include "support/scratch_directory.hpp"

namespace ferula {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

constexpr std::int64_t kBytes = 2 * kHashBlockBytes + 1000;

class BlockHashesTest : public testing::Test {
 protected:
  BlockHashesTest() : content_(static_cast<std::size_t>(kBytes)), staging_(2 * kHashBlockBytes) {
    for (std::size_t index = 0; index < content_.size(); ++index) content_[index] = static_cast<char>(index * 7 % 251);
    store();
    hashes_ = hashed();
  }
  void store() { std::ofstream(path_, std::ios::binary).write(content_.data(), kBytes); }
  BlockHashes hashed() {
    InlineStream disk;
    return hash_blocks(*files_->open(path_, OpenMode::read), disk, staging_);
  }
  VerifiedFile open() { return {*files_, path_, hashes_, staging_}; }
  std::string read(VerifiedFile& file, std::int64_t position, std::int64_t count) {
    std::string text(static_cast<std::size_t>(count), '\0');
    file.read_at(position, std::as_writable_bytes(std::span(text)));
    return text;
  }
  std::string expected(std::int64_t position, std::int64_t count) {
    return {content_.data() + position, static_cast<std::size_t>(count)};
  }

  ScratchDirectory scratch_;
  std::unique_ptr<FileSystem> files_ = make_posix_file_system();
  std::string path_ = scratch_.path("file");
  std::vector<char> content_;
  std::vector<std::byte> staging_;
  BlockHashes hashes_;
};

TEST(Digest, IsXxh3Of128Bits) {
  EXPECT_EQ(to_hex(digest_of("")), "99aa06d3014798d86001c324468d497f");  // of the empty input, xxhsum -H2
  EXPECT_EQ(digest_from_hex(to_hex(digest_of("abc"))), digest_of("abc"));
  EXPECT_FALSE(digest_from_hex("99AA06d3014798d86001c324468d497f"));
  EXPECT_FALSE(digest_from_hex("99aa"));
}

TEST_F(BlockHashesTest, ReadsAnyRange) {
  VerifiedFile file = open();
  EXPECT_EQ(read(file, 0, kBytes), expected(0, kBytes));
  EXPECT_EQ(read(file, kHashBlockBytes - 3, 7), expected(kHashBlockBytes - 3, 7));
  EXPECT_EQ(read(file, kBytes - 1, 1), expected(kBytes - 1, 1));
  EXPECT_EQ(read(file, 5, 0), "");
}

TEST_F(BlockHashesTest, AscendingRangesReadEachBlockOnce) {
  VerifiedFile file = open();
  for (std::int64_t position = 0; position < kBytes; position += 1000)
    read(file, position, std::min<std::int64_t>(1000, kBytes - position));
  EXPECT_EQ(file.bytes_read(), kBytes);
}

TEST_F(BlockHashesTest, FindsAChangedByteOnlyWhereItIsTouched) {
  content_[static_cast<std::size_t>(kHashBlockBytes) + 17] ^= 1;
  store();

  VerifiedFile file = open();

  EXPECT_EQ(read(file, 0, 100), expected(0, 100));
  EXPECT_THAT([&] { read(file, kHashBlockBytes, 1); },
              ThrowsMessage<DamageError>(HasSubstr("bytes 262144 to 524288 are not what was written")));
  EXPECT_THROW(read(file, kHashBlockBytes, 1), DamageError) << "also when asked again";
  EXPECT_THAT(file.damaged_ranges(), ElementsAre(ByteRange{kHashBlockBytes, 2 * kHashBlockBytes}));
}

TEST_F(BlockHashesTest, AnotherSizeIsDamage) {
  std::ofstream(path_, std::ios::app) << "x";
  EXPECT_THAT([&] { open(); }, ThrowsMessage<DamageError>(HasSubstr("expected 525288 bytes, found 525289")));
}

TEST_F(BlockHashesTest, ReadingAheadOnAnotherThreadGivesTheSameHashes) {
  const std::unique_ptr<File> file = files_->open(path_, OpenMode::read);
  ThreadStream disk("disk");

  const BlockHashes hashes = hash_blocks(*file, disk, staging_);

  EXPECT_EQ(hashes.blocks, hashes_.blocks);
  ASSERT_EQ(hashes.blocks.size(), 3u);
  EXPECT_EQ(hashes.blocks[1], digest_of(expected(kHashBlockBytes, kHashBlockBytes)));
}

TEST_F(BlockHashesTest, EmptyFileHasNoBlocks) {
  std::ofstream(path_, std::ios::trunc).close();
  const BlockHashes hashes = hashed();
  EXPECT_TRUE(hashes.blocks.empty());
  EXPECT_TRUE(VerifiedFile(*files_, path_, hashes, staging_).damaged_ranges().empty());
}

}  // namespace
}  // namespace ferula
