// What a file of safetensors says, and what is refused before a byte is read by it.
#include "checkpoint/safetensors.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "safetensors_files.hpp"
#include "support/message_of.hpp"
#include "support/scratch_directory.hpp"

namespace ferula {
namespace {

using test::message_of;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

const std::vector<RawTensor> kTensors{{"a", "F32", {2, 1}, raw<float>({1.0f, 2.0f})},
                                      {"b", "I64", {}, raw<std::int64_t>({7})},
                                      {"empty", "F16", {0, 4}, ""},
                                      {"c", "BF16", {3}, raw<std::uint16_t>({1, 2, 3})}};

class Safetensors : public testing::Test {
 protected:
  SafetensorsFolder open(const std::string& content) const {
    scratch_.write("model.safetensors", content);
    return open();
  }
  SafetensorsFolder open() const { return {*files_, scratch_.path()}; }
  std::string refusal(const std::string& content) const {
    return message_of<DataError>([&] { open(content); });
  }
  /// What is said of a header over eight bytes of data.
  std::string refusal_of_header(const std::string& header) const {
    return refusal(safetensors_file(header, "12345678"));
  }

  ScratchDirectory scratch_;
  std::unique_ptr<FileSystem> files_ = make_posix_file_system();
};

TEST_F(Safetensors, GiveEveryTensorWithItsBytes) {
  const SafetensorsFolder folder = open(safetensors_file(kTensors));

  ASSERT_EQ(folder.tensors().size(), 4u);
  EXPECT_THAT(folder.tensors().at("empty").shape, ElementsAre(0, 4));
  const SafetensorsFolder::Tensor& c = folder.tensors().at("c");
  EXPECT_EQ(c.dtype, "BF16");
  std::vector<std::uint16_t> last(2);
  folder.read(c, 2, std::as_writable_bytes(std::span(last)));
  EXPECT_THAT(last, ElementsAre(2, 3));
  EXPECT_THAT(folder.where("c"), HasSubstr("model.safetensors: c"));
}

TEST_F(Safetensors, MayLieInSeveralFilesWithAnIndex) {
  scratch_.write("x.safetensors", safetensors_file({kTensors[0]}));
  scratch_.write("y.safetensors", safetensors_file({kTensors[1], kTensors[3]}));
  scratch_.write("model.safetensors.index.json",
                 R"({"metadata":{},"weight_map":{"a":"x.safetensors","b":"y.safetensors","c":"y.safetensors"}})");

  EXPECT_EQ(open().tensors().size(), 3u);
}

TEST_F(Safetensors, AnIndexThatContradictsItsFilesIsRefused) {
  scratch_.write("x.safetensors", safetensors_file({kTensors[0]}));
  scratch_.write("y.safetensors", safetensors_file({kTensors[0]}));
  const auto refusal = [&](const std::string& map) {
    scratch_.write("model.safetensors.index.json", R"({"weight_map":)" + map + "}");
    return message_of<DataError>([&] { open(); });
  };

  EXPECT_THAT(refusal(R"({"a":"../x.safetensors"})"), HasSubstr("a .safetensors file in this folder"));
  EXPECT_THAT(refusal(R"({"a":"z.safetensors"})"), HasSubstr("z.safetensors: "));
  EXPECT_THAT(refusal(R"({"a":"x.safetensors","b":"x.safetensors"})"), HasSubstr("expected b in x.safetensors"));
  EXPECT_THAT(refusal("{\"q\":\"x.safetensors\"}"), HasSubstr("expected q in x.safetensors"));
  EXPECT_THAT(refusal(R"({"a":"x.safetensors","b":"y.safetensors"})"), HasSubstr("a is also in"));
  EXPECT_THAT(refusal("[1]"), HasSubstr("expected a JSON object"));
}

TEST_F(Safetensors, OtherFormatsGetAWayOut) {
  EXPECT_THAT(message_of<DataError>([&] { open(); }), HasSubstr("download the whole folder"));
  scratch_.write("pytorch_model.bin", "PK");
  EXPECT_THAT(message_of<DataError>([&] { open(); }), AllOf(HasSubstr("pickle"), HasSubstr("save_pretrained")));
}

TEST_F(Safetensors, AHeaderIsOnlyReadWhereItFitsTheFile) {
  EXPECT_THAT(refusal("1234"), HasSubstr("expected a length of 8 bytes, found 4 bytes"));
  EXPECT_THAT(refusal(raw<std::uint64_t>({100}) + "{}"), HasSubstr("a header of at most 2 bytes, found 100"));
  EXPECT_THAT(refusal(raw<std::uint64_t>({~std::uint64_t{0}}) + "{}"), HasSubstr("found 18446744073709551615"));
  EXPECT_THAT(refusal(safetensors_file("[]", "")), HasSubstr("expected a header of JSON"));
  EXPECT_THAT(refusal(safetensors_file("{", "")), HasSubstr("expected JSON"));
  EXPECT_THAT(refusal(safetensors_file(std::string(50'000, '{'), "")), HasSubstr("expected JSON"));
}

TEST_F(Safetensors, ATensorMustFitItsBytes) {
  const auto one = [](const std::string& dtype, const std::string& shape, const std::string& offsets) {
    return R"({"a":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}";
  };

  EXPECT_THAT(refusal_of_header(one("F32", "[3]", "[0,8]")), HasSubstr("the bytes of F32 [3], found 8 bytes"));
  EXPECT_THAT(refusal_of_header(one("F32", "[2]", "[4,12]")), HasSubstr("data_offsets of at most 8"));
  EXPECT_THAT(refusal_of_header(one("F32", "[2]", "[8,0]")), HasSubstr("two ascending data_offsets"));
  EXPECT_THAT(refusal_of_header(one("F32", "[2]", "[0]")), HasSubstr("two ascending data_offsets"));
  EXPECT_THAT(refusal_of_header(one("F32", "[-2]", "[0,8]")), HasSubstr("whole numbers"));
  EXPECT_THAT(refusal_of_header(one("F32", "[4611686018427387904,4]", "[0,8]")), HasSubstr("the bytes of F32"));
  EXPECT_THAT(refusal_of_header(one("F4", "[16]", "[0,8]")), HasSubstr("found 'F4'"));
  EXPECT_THAT(refusal_of_header(R"({"a":{"dtype":"F32","shape":[2]}})"), HasSubstr("data_offsets"));
  EXPECT_THAT(refusal_of_header(R"({"a":[]})"), HasSubstr("expected a JSON object"));
}

TEST_F(Safetensors, EachByteBelongsToOneTensor) {
  const auto two = [](const std::string& a, const std::string& b) {
    return R"({"a":{"dtype":"U8","shape":[4],"data_offsets":)" + a +
           R"(},"b":{"dtype":"U8","shape":[4],"data_offsets":)" + b + "}}";
  };

  EXPECT_THAT(refusal_of_header(two("[0,4]", "[2,6]")), AllOf(HasSubstr(": b: "), HasSubstr("overlaps another")));
  EXPECT_THAT(refusal_of_header(two("[0,4]", "[0,4]")), HasSubstr("overlaps another"));
  EXPECT_THAT(refusal(safetensors_file(two("[0,4]", "[5,9]"), "123456789")), HasSubstr("leaves a hole"));
  EXPECT_THAT(refusal(safetensors_file(two("[0,4]", "[4,8]"), "123456789")), HasSubstr("bytes by its header, found"));
}

TEST_F(Safetensors, EveryTruncationIsRefused) {
  const std::string whole = safetensors_file(kTensors);
  for (std::size_t length = 0; length < whole.size(); ++length)
    EXPECT_THAT(refusal(whole.substr(0, length)), HasSubstr("model.safetensors: ")) << length;
}

/// A changed byte makes another legal file or is refused; it never leads outside of the data.
TEST_F(Safetensors, NoChangedByteOfTheHeaderLeadsAstray) {
  const std::string whole = safetensors_file(kTensors);
  const std::size_t data_begin = whole.size() - 8 - 8 - 6;
  std::mt19937 random(1);
  int refused = 0;
  for (std::size_t place = 0; place < data_begin; ++place) {
    for (int times = 0; times < 4; ++times) {
      std::string changed = whole;
      changed[place] = static_cast<char>(random());
      try {
        const SafetensorsFolder folder = open(changed);
        for (const auto& [name, tensor] : folder.tensors()) {
          std::string bytes(static_cast<std::size_t>(tensor.bytes.end - tensor.bytes.begin), '\0');
          ASSERT_LE(bytes.size(), whole.size());
          folder.read(tensor, 0, std::as_writable_bytes(std::span(bytes)));
        }
      } catch (const DataError&) {
        ++refused;
      }
    }
  }
  EXPECT_GT(refused, static_cast<int>(data_begin)) << "most changes break something";
}

}  // namespace
}  // namespace ferula
