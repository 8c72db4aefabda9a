// A published model becomes a checkpoint: every element where it belongs, all of it or nothing.
#include "checkpoint/import_weights.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <numeric>

#include "checkpoint/checkpoint_reader.hpp"
#include "checkpoint/verify.hpp"
#include "faulty_file_system.hpp"
#include "safetensors_files.hpp"
#include "support/message_of.hpp"
#include "support/passing_file_system.hpp"
#include "support/scratch_directory.hpp"

namespace ferula {
namespace {

using test::message_of;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

std::vector<float> counted(std::int64_t count, float first) {
  std::vector<float> values(static_cast<std::size_t>(count));
  std::iota(values.begin(), values.end(), first);
  return values;
}

RawTensor f32(const std::string& name, const Shape& shape, float first) {
  const std::int64_t count = std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
  return {name, "F32", shape, raw(counted(count, first))};
}

/// Attention of one GPT-2 block of width 2, whose c_attn [2, 6] holds 0 … 11.
class Import : public testing::Test {
 protected:
  Import() {
    model_.family = "gpt2";
    model_.tied_embeddings = true;
    for (const char* name : {"query", "key", "value"})
      table_.push_back({.name = fmt::format("blocks.0.attention.{}.weight", name), .shape = {2, 2}});
    table_.push_back({.name = "blocks.0.attention.key.bias", .shape = {2}});
    table_.push_back({.name = "embedding.token.weight", .shape = {3, 2}});
    tensors_ = {f32("transformer.h.0.attn.c_attn.weight", {2, 6}, 0.0f), f32("h.0.attn.c_attn.bias", {6}, 100.0f),
                f32("wte.weight", {3, 2}, 200.0f), f32("h.0.attn.bias", {1, 1, 4, 4}, 0.0f)};
  }

  void import(FileSystem& files, DType dtype = DType::f32) {
    scratch_.write("model/model.safetensors", safetensors_file(tensors_));
    const SafetensorsFolder folder(files, scratch_.path("model"));
    ImportRequest request{.target = target_, .dtype = dtype, .save = {}};
    request.save.config_text = "a = 1\n";
    request.save.tied = {{"head.weight", "embedding.token.weight"}};
    import_weights(files, *device_, folder, fill_table(model_, table_, folder), request);
  }
  std::string refusal() {
    return message_of([&] { import(*files_); });
  }

  template <class T>
  std::vector<T> values(const std::string& tensor, const Shape& shape, ReadScope scope = ReadScope::values_only,
                        const std::string& role = "value") const {
    std::vector<T> found(
        static_cast<std::size_t>(std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>())));
    const OwnedPiece piece{.tensor = tensor,
                           .global_shape = shape,
                           .role = role,
                           .offset = 0,
                           .data = TensorView(reinterpret_cast<std::byte*>(found.data()), dtype_of<T>,
                                              {static_cast<std::int64_t>(found.size())})};
    CheckpointReader(*files_, *device_, target_).read(std::span(&piece, 1), scope);
    return found;
  }

  ScratchDirectory scratch_;
  std::string target_ = scratch_.path("imported");
  std::unique_ptr<FileSystem> files_ = make_posix_file_system();
  MemoryLedger ledger_;
  std::unique_ptr<Device> device_ = make_cpu_device(ledger_);
  ModelConfig model_;
  std::vector<ParamSpec> table_;
  std::vector<RawTensor> tensors_;
};

TEST_F(Import, TurnsAndDividesWhatGpt2KeepsInOneMatrix) {
  import(*files_);

  EXPECT_TRUE(verify_checkpoint(*files_, target_).good());
  EXPECT_THAT(values<float>("blocks.0.attention.query.weight", {2, 2}), ElementsAre(0, 6, 1, 7));
  EXPECT_THAT(values<float>("blocks.0.attention.value.weight", {2, 2}), ElementsAre(4, 10, 5, 11));
  EXPECT_THAT(values<float>("blocks.0.attention.key.bias", {2}), ElementsAre(102, 103));
  EXPECT_THAT(values<float>("head.weight", {3, 2}), ElementsAre(200, 201, 202, 203, 204, 205));
}

TEST_F(Import, ReadsHalvesExactly) {
  tensors_[2] = {"wte.weight", "F16", {3, 2}, raw<std::uint16_t>({0x3C00, 0xC000, 0x0001, 0x03FF, 0x7BFF, 0x8000})};
  import(*files_);

  EXPECT_THAT(values<float>("embedding.token.weight", {3, 2}),
              ElementsAre(1.0f, -2.0f, 0x1p-24f, 0x3FFp-24f, 65504.0f, -0.0f));
}

TEST_F(Import, KeepsBf16WhereAllIsBf16) {
  tensors_ = {{"wte.weight", "BF16", {3, 2}, raw<std::uint16_t>({0x3F80, 1, 2, 3, 4, 0xC000})}};
  table_ = {{.name = "embedding.token.weight", .shape = {3, 2}}};
  scratch_.write("model/model.safetensors", safetensors_file(tensors_));
  const SafetensorsFolder folder(*files_, scratch_.path("model"));
  EXPECT_EQ(exact_dtype(fill_table(model_, table_, folder)), DType::bf16);
  import(*files_, DType::bf16);

  const auto found = values<bf16>("embedding.token.weight", {3, 2});
  EXPECT_EQ(found.front().bits, 0x3F80);
  EXPECT_EQ(found.back().bits, 0xC000);
}

/// Longer than the memory through which it is read, and not at a multiple of it.
TEST_F(Import, StartsRunsOfBothPrecisions) {
  constexpr std::int64_t kRows = 300'001;
  table_.back().shape = {kRows, 2};
  tensors_[2] = f32("wte.weight", {kRows, 2}, 0.0f);
  import(*files_);

  const auto narrow = values<bf16>("embedding.token.weight", {kRows, 2}, ReadScope::starting_values);
  const auto master = values<float>("embedding.token.weight", {kRows, 2}, ReadScope::starting_values, "master");
  EXPECT_EQ(master, counted(2 * kRows, 0.0f));
  for (std::size_t i = 0; i < narrow.size(); ++i) ASSERT_EQ(narrow[i], bf16(master[i])) << i;

  files_->remove(target_);
  import(*files_, DType::bf16);
  const auto wide = values<float>("embedding.token.weight", {kRows, 2}, ReadScope::starting_values);
  for (std::size_t i = 0; i < narrow.size(); ++i) ASSERT_EQ(wide[i], static_cast<float>(narrow[i])) << i;
  EXPECT_THAT(message_of<DataError>([&] {
                values<float>("embedding.token.weight", {kRows, 2});
              }),
              HasSubstr("the model has f32, the checkpoint bf16"));
}

TEST_F(Import, NamesEveryTensorThatDoesNotBelong) {
  tensors_[0].shape = {6, 2};
  tensors_[1].name = "h.0.attn.c_attn.gamma";
  tensors_[2] = {"wte.weight", "I32", {3, 2}, tensors_[2].bytes};

  EXPECT_THAT(refusal(), AllOf(HasSubstr("transformer.h.0.attn.c_attn.weight: expected [2, 6], found [6, 2]"),
                               HasSubstr("h.0.attn.c_attn.bias: expected it, found nothing"),
                               HasSubstr("wte.weight: expected F32, BF16 or F16, found I32"),
                               HasSubstr("c_attn.gamma: found, but a model of the family gpt2 has no such tensor")));
  EXPECT_FALSE(files_->exists(target_));
}

TEST_F(Import, RefusesValuesThatAreNotFinite) {
  tensors_[2].bytes.replace(16, 4, raw<float>({std::numeric_limits<float>::quiet_NaN()}));

  EXPECT_THAT(refusal(), HasSubstr("wte.weight: expected finite values, found nan for element 4"));
  EXPECT_FALSE(files_->exists(target_ + ".importing"));
}

TEST_F(Import, NeverReplacesAnything) {
  files_->make_directory(target_);

  EXPECT_THAT(refusal(), HasSubstr("imported: expected a new folder"));
}

TEST_F(Import, WaitsForNoOtherImportOfTheSameName) {
  const LockAttempt other = files_->try_lock(target_ + ".importing.lock", "");
  ASSERT_EQ(other.state, LockAttempt::State::taken);

  EXPECT_THAT(refusal(), HasSubstr("another import writes to it"));
}

TEST_F(Import, SaysWhatRoomItNeeds) {
  class FullDisk final : public PassingFileSystem {
   public:
    using PassingFileSystem::PassingFileSystem;
    FreeSpace free_space(const std::string&) override { return {.bytes = 1000, .files = 1000}; }
  } full(*files_);

  EXPECT_THAT(message_of<CapacityError>([&] { import(full); }), HasSubstr("--dtype bf16"));
}

class ImportWithFaults : public Import, public testing::WithParamInterface<Fault> {};
INSTANTIATE_TEST_SUITE_P(Faults, ImportWithFaults, testing::Values(Fault::one_error, Fault::death));

TEST_P(ImportWithFaults, LeaveAWholeModelOrNoneAndTheNextImportGoesThrough) {
  for (std::int64_t at = 0;; ++at) {
    SCOPED_TRACE(fmt::format("operation {}", at));
    FaultyFileSystem broken(*files_, at, GetParam());
    const std::string problem = message_of([&] { import(broken); });
    if (!broken.failed()) {
      EXPECT_GT(at, 30) << "operations of an import";
      return;
    }
    if (files_->exists(target_)) EXPECT_TRUE(verify_checkpoint(*files_, target_).good()) << problem;
    files_->remove(target_);
    import(*files_);
    EXPECT_FALSE(files_->exists(target_ + ".importing"));
    files_->remove(target_);
  }
}

}  // namespace
}  // namespace ferula
