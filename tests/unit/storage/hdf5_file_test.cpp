// HDF5 files: element ranges, types, attributes, virtual datasets and errors.
#include "storage/hdf5_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/resource.h>

#include <array>
#include <csignal>
#include <fstream>
#include <numeric>
#include <thread>

#include "support/scratch_directory.hpp"

namespace ferula {
namespace {

using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::ThrowsMessage;

template <class T>
TensorView view_of(std::vector<T>& values) {
  return {reinterpret_cast<std::byte*>(values.data()), dtype_of<T>, {static_cast<std::int64_t>(values.size())}};
}

template <class T>
std::vector<T> counted(std::size_t count) {
  std::vector<T> values(count);
  for (std::size_t index = 0; index < count; ++index) values[index] = static_cast<T>(index + 1);
  return values;
}

class Hdf5FileTest : public testing::Test {
 protected:
  ScratchDirectory scratch_;
  std::string path_ = scratch_.path("file.h5");
};

/// No file of this process may grow beyond `bytes` while it lives: as on a full disk, for whoever runs the tests.
class SmallFiles {
 public:
  explicit SmallFiles(rlim_t bytes) {
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit small{.rlim_cur = bytes, .rlim_max = before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &small);
    std::signal(SIGXFSZ, SIG_IGN);
  }
  ~SmallFiles() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, SIG_DFL);
  }
  SmallFiles(const SmallFiles&) = delete;
  SmallFiles& operator=(const SmallFiles&) = delete;

 private:
  rlimit before_{};
};

TEST_F(Hdf5FileTest, AFullDiskIsACapacityErrorInTheSystemsWords) {
  std::vector<float> values = counted<float>(100'000);
  const auto write = [&] {
    const SmallFiles limit(100'000);
    Hdf5File file = Hdf5File::create(path_);
    file.create_dataset("/a", DType::f32, std::array{std::int64_t{100'000}}).write(0, view_of(values));
    file.close();
  };

  EXPECT_THAT(write, ThrowsMessage<CapacityError>(HasSubstr("file.h5:/a: cannot write: File too large; free space")));
}

template <class T>
class Hdf5Types : public Hdf5FileTest {};
using Elements = testing::Types<float, double, std::int8_t, std::uint8_t, std::int32_t, std::int64_t>;
TYPED_TEST_SUITE(Hdf5Types, Elements);

TYPED_TEST(Hdf5Types, ComeBackBitForBit) {
  std::vector<TypeParam> written = counted<TypeParam>(7);
  Hdf5File file = Hdf5File::create(this->path_);
  file.create_dataset("/a/b", dtype_of<TypeParam>, std::array{std::int64_t{7}}).write(0, view_of(written));
  file.close();

  std::vector<TypeParam> read(7);
  const Hdf5File again = Hdf5File::open(this->path_);
  again.dataset("/a/b").read(0, view_of(read));

  EXPECT_EQ(read, written);
  EXPECT_EQ(again.dataset("/a/b").dtype(), dtype_of<TypeParam>);
}

TEST_F(Hdf5FileTest, KeepsBf16AndF16AsTheirOwnTypes) {
  std::vector<bf16> brain{bf16(1.0f), bf16(-3.140625f), bf16(1e-30f)};
  Hdf5File file = Hdf5File::create(path_);
  file.create_dataset("/brain", DType::bf16, std::array{std::int64_t{3}}).write(0, view_of(brain));
  std::array<std::uint16_t, 2> half{0x3c00, 0xc000};
  file.create_dataset("/half", DType::f16, std::array{std::int64_t{2}})
      .write(0, {reinterpret_cast<std::byte*>(half.data()), DType::f16, {2}});
  file.close();

  std::vector<bf16> read(3);
  const Hdf5File again = Hdf5File::open(path_);
  again.dataset("/brain").read(0, view_of(read));

  EXPECT_EQ(read, brain);
  EXPECT_EQ(again.dataset("/brain").dtype(), DType::bf16);
  EXPECT_EQ(again.dataset("/half").dtype(), DType::f16);
}

TEST_F(Hdf5FileTest, ReadsAFlatRangeFromTheMiddleOfRows) {
  std::vector<std::int32_t> written = counted<std::int32_t>(20);
  Hdf5File file = Hdf5File::create(path_);
  Hdf5Dataset matrix = file.create_dataset("/matrix", DType::i32, std::array<std::int64_t, 2>{4, 5});
  std::vector<std::int32_t> head(written.begin(), written.begin() + 7);
  std::vector<std::int32_t> tail(written.begin() + 7, written.end());
  matrix.write(0, view_of(head));
  matrix.write(7, view_of(tail));

  std::vector<std::int32_t> read(11);
  matrix.read(3, view_of(read));

  EXPECT_EQ(read, std::vector<std::int32_t>(written.begin() + 3, written.begin() + 14));
  EXPECT_THAT(matrix.shape(), ElementsAre(4, 5));
}

TEST_F(Hdf5FileTest, EarlyAllocationGivesThePlaceInTheFile) {
  std::vector<std::int32_t> written = counted<std::int32_t>(100);
  Hdf5File file = Hdf5File::create(path_);
  Hdf5Dataset early = file.create_dataset("/early", DType::i32, std::array{std::int64_t{100}}, Hdf5Allocation::early);
  const Hdf5Dataset late = file.create_dataset("/late", DType::i32, std::array{std::int64_t{100}});
  const std::optional<std::int64_t> position = early.byte_position();
  EXPECT_FALSE(late.byte_position().has_value());
  ASSERT_TRUE(position.has_value());
  early.write(0, view_of(written));
  file.close();

  std::vector<std::int32_t> raw(100);
  std::ifstream stream(path_, std::ios::binary);
  stream.seekg(*position);
  stream.read(reinterpret_cast<char*>(raw.data()), 400);

  EXPECT_EQ(raw, written);
}

TEST_F(Hdf5FileTest, AttributesComeBack) {
  Hdf5File file = Hdf5File::create(path_);
  file.create_dataset("/group/data", DType::u8, std::array{std::int64_t{1}});
  file.write_attribute("/", "source", "ελληνικά");
  file.write_attribute("/", "empty", "");
  file.write_attribute("/group/data", "offset", std::int64_t{-5});
  file.write_attribute("/group", "shape", std::array<std::int64_t, 3>{1, 2, 3});
  file.close();

  const Hdf5File again = Hdf5File::open(path_);

  EXPECT_EQ(again.text_attribute("/", "source"), "ελληνικά");
  EXPECT_EQ(again.text_attribute("/", "empty"), "");
  EXPECT_EQ(again.integer_attribute("/group/data", "offset"), -5);
  EXPECT_THAT(again.integers_attribute("/group", "shape"), ElementsAre(1, 2, 3));
  EXPECT_FALSE(again.has_attribute("/group", "other"));
  EXPECT_THAT([&] { again.text_attribute("/group", "shape"); }, ThrowsMessage<DataError>(HasSubstr("'shape'")));
}

TEST_F(Hdf5FileTest, ListsAndFindsObjects) {
  Hdf5File file = Hdf5File::create(path_);
  file.create_dataset("/b/two", DType::u8, std::array{std::int64_t{1}});
  file.create_dataset("/a", DType::u8, std::array{std::int64_t{1}});

  EXPECT_THAT(file.list("/"), ElementsAre("a", "b"));
  EXPECT_TRUE(file.has("/b/two"));
  EXPECT_FALSE(file.has("/b/three/four"));
}

TEST_F(Hdf5FileTest, VirtualDatasetPresentsUnevenCutsAsOneMatrix) {
  std::vector<float> values = counted<float>(35);
  const std::array<std::int64_t, 4> cuts{0, 3, 24, 35};
  std::vector<VirtualRange> ranges;
  for (std::size_t part = 0; part + 1 < cuts.size(); ++part) {
    std::vector<float> piece(values.begin() + cuts[part], values.begin() + cuts[part + 1]);
    const std::string name = "part" + std::to_string(part) + ".h5";
    const auto count = static_cast<std::int64_t>(piece.size());
    Hdf5File file = Hdf5File::create(scratch_.path(name));
    file.create_dataset("/piece", DType::f32, std::array{count}).write(0, view_of(piece));
    file.close();
    ranges.push_back({.file = name, .dataset = "/piece", .offset = cuts[part], .count = count});
  }
  Hdf5File file = Hdf5File::create(path_);
  file.create_virtual_dataset("/value/matrix", DType::f32, std::array<std::int64_t, 2>{5, 7}, ranges);
  file.close();

  std::vector<float> read(35);
  Hdf5File::open(path_).dataset("/value/matrix").read(0, view_of(read));

  EXPECT_EQ(read, values);
}

TEST_F(Hdf5FileTest, ErrorsNameFileObjectAndReason) {
  EXPECT_THAT([&] { Hdf5File::open(path_); }, ThrowsMessage<DataError>(HasSubstr(path_ + ": cannot open this file")));
  EXPECT_THAT([&] { Hdf5File::open(path_); }, ThrowsMessage<DataError>(EndsWith(": No such file or directory")));
  std::ofstream(path_) << "this is text";
  EXPECT_THAT([&] { Hdf5File::open(path_); }, ThrowsMessage<DataError>(HasSubstr("signature")));
  EXPECT_THAT([&] { Hdf5File::create(path_); },
              ThrowsMessage<DataError>(EndsWith("cannot create this file: File exists")));
  Hdf5File file = Hdf5File::create(scratch_.path("other.h5"));
  EXPECT_THAT([&] { file.dataset("/missing"); }, ThrowsMessage<DataError>(HasSubstr("/missing")));
}

TEST_F(Hdf5FileTest, ThreadsMayReadAtOnce) {
  std::vector<std::int64_t> written = counted<std::int64_t>(1000);
  Hdf5File file = Hdf5File::create(path_);
  file.create_dataset("/data", DType::i64, std::array{std::int64_t{1000}}).write(0, view_of(written));
  file.close();

  std::array<std::vector<std::int64_t>, 4> read;
  std::vector<std::jthread> threads;
  for (auto& values : read)
    threads.emplace_back([&] {
      values.resize(1000);
      for (int turn = 0; turn < 20; ++turn) Hdf5File::open(path_).dataset("/data").read(0, view_of(values));
    });
  threads.clear();

  for (const auto& values : read) EXPECT_EQ(values, written);
}

}  // namespace
}  // namespace ferula
