// Writing and reading token files: content, provenance, determinism, and files that are refused.
#include "data/token_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <fstream>
#include <iterator>
#include <thread>

#include "base/error.hpp"
#include "data/token_file_writer.hpp"
#include "support/scratch_directory.hpp"

namespace ferula {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

/// Ids as large as the test wants: a byte times `factor`.
class ScaledTokenizer final : public Tokenizer {
 public:
  explicit ScaledTokenizer(std::int32_t factor) : factor_(factor) {}
  std::string name() const override { return "scaled"; }
  std::int64_t vocabulary() const override { return 255 * factor_ + 1; }
  void encode(std::string_view text, std::vector<std::int32_t>& tokens) const override {
    for (const char letter : text) tokens.push_back(static_cast<unsigned char>(letter) * factor_);
  }
  std::string decode(std::span<const std::int32_t>) const override { return {}; }

 private:
  std::int32_t factor_;
};

class Tokens : public testing::Test {
 protected:
  std::string write(std::string_view name, const std::vector<std::string>& sources, const Tokenizer& tokenizer) {
    std::vector<std::string> patterns;
    for (const auto& source : sources) patterns.push_back(folder_.path(source));
    const std::string path = folder_.path(name);
    write_token_file(*files_, path, survey_text(*files_, patterns, tokenizer), tokenizer, "ferula 9.9.9");
    return path;
  }
  std::string bytes_of_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  std::string refusal(const std::string& path) {
    try {
      TokenFile file(*files_, path);
    } catch (const DataError& error) {
      return error.what();
    }
    return "nothing was refused";
  }

  ScratchDirectory folder_;
  std::unique_ptr<FileSystem> files_ = make_posix_file_system();
  std::unique_ptr<Tokenizer> bytes_ = make_tokenizer("bytes");
};

TEST_F(Tokens, HoldTheTextOfAllSourcesInOrder) {
  folder_.write("a.txt", "one ");
  folder_.write("b.txt", "two\xff");

  const TokenFile file(*files_, write("t.h5", {"b.txt", "a.txt"}, *bytes_));

  EXPECT_EQ(file.tokens(), 8);
  EXPECT_EQ(file.documents(), 2);
  std::vector<std::int32_t> tokens(8);
  file.read(0, tokens);
  EXPECT_EQ(bytes_->decode(tokens), "two\xffone ");
  std::vector<std::int32_t> middle(3);
  file.read(3, middle);
  EXPECT_THAT(middle, ElementsAre(0xff, 'o', 'n'));
}

TEST_F(Tokens, KeepWideIdsOfLargeVocabularies) {
  const ScaledTokenizer tokenizer(1000);
  folder_.write("a.txt", "\x01\xff\x02");

  const TokenFile file(*files_, write("t.h5", {"a.txt"}, tokenizer));

  std::vector<std::int32_t> tokens(2);
  file.read(1, tokens);
  EXPECT_THAT(tokens, ElementsAre(255000, 2000));
  EXPECT_EQ(file.vocabulary(), 255001);
}

TEST_F(Tokens, RememberTheirProvenance) {
  const std::string a = folder_.write("a.txt", "one");
  const std::string b = folder_.write("b.txt", "three");

  const TokenFile file(*files_, write("t.h5", {"a.txt", "b.txt"}, *bytes_));

  EXPECT_EQ(file.tokenizer(), "bytes");
  EXPECT_EQ(file.created_by(), "ferula 9.9.9");
  const auto sources = file.sources();
  ASSERT_EQ(sources.size(), 2u);
  EXPECT_EQ(sources[0].path, a);
  EXPECT_EQ(sources[1].path, b);
  EXPECT_EQ(sources[1].bytes, 5);
  EXPECT_EQ(sources[1].tokens, 5);
  EXPECT_EQ(sources[0].digest, read_in_pieces(*files_, a, [](std::string_view) {}).digest);
}

TEST_F(Tokens, CrossThePiecesOfALargeSource) {
  std::string text;
  while (static_cast<std::int64_t>(text.size()) < 2 * kHashBlockBytes + 5) text += std::to_string(text.size()) + " ";
  folder_.write("long.txt", text);

  const TokenFile file(*files_, write("t.h5", {"long.txt"}, *bytes_));

  ASSERT_EQ(file.tokens(), static_cast<std::int64_t>(text.size()));
  std::vector<std::int32_t> tokens(1000);
  file.read(kHashBlockBytes - 500, tokens);
  EXPECT_EQ(bytes_->decode(tokens), text.substr(static_cast<std::size_t>(kHashBlockBytes) - 500, 1000));
}

TEST_F(Tokens, TheSameTextGivesTheSameBytes) {
  folder_.write("a.txt", "deterministic");

  const std::string first = bytes_of_file(write("1.h5", {"a.txt"}, *bytes_));
  const std::string second = bytes_of_file(write("2.h5", {"a.txt"}, *bytes_));

  EXPECT_EQ(first, second);
}

TEST_F(Tokens, CanBeReadByThreadsAtOnce) {
  std::string text(5000, '\0');
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(1 + i % 255);
  folder_.write("a.txt", text);
  const TokenFile file(*files_, write("t.h5", {"a.txt"}, *bytes_));
  std::array<int, 3> wrong{};
  std::vector<std::thread> threads;

  for (std::size_t thread = 0; thread < wrong.size(); ++thread) {
    threads.emplace_back([&, thread] {
      std::vector<std::int32_t> tokens(50);
      for (std::int64_t begin = 0; begin + 50 <= 5000; begin += 7) {
        file.read(begin, tokens);
        wrong[thread] += tokens.front() != 1 + begin % 255;
      }
    });
  }
  for (auto& thread : threads) thread.join();

  EXPECT_THAT(wrong, ElementsAre(0, 0, 0));
}

TEST_F(Tokens, RefuseAnotherTokenizer) {
  folder_.write("a.txt", "abc");
  const TokenFile file(*files_, write("t.h5", {"a.txt"}, *bytes_));

  file.require(*bytes_);
  EXPECT_THROW(file.require(ScaledTokenizer(1)), DataError);
}

TEST_F(Tokens, KnowThemselvesByADigestOfAllOfThem) {
  folder_.write("a.txt", std::string(static_cast<std::size_t>(kHashBlockBytes) + 5, 'a'));
  folder_.write("b.txt", std::string(static_cast<std::size_t>(kHashBlockBytes) + 4, 'a') + "b");

  const TokenFile a(*files_, write("a.h5", {"a.txt"}, *bytes_));
  const TokenFile b(*files_, write("b.h5", {"b.txt"}, *bytes_));

  a.verify();
  b.verify();
  EXPECT_EQ(a.digest(), TokenFile(*files_, write("again.h5", {"a.txt"}, *bytes_)).digest());
  EXPECT_NE(a.digest(), b.digest());
}

/// As h5py leaves it (tests/system has h5py itself).
TEST_F(Tokens, MayComeFromAnotherProgramWithoutADigest) {
  const std::string path = folder_.path("theirs.h5");
  Hdf5File theirs = Hdf5File::create(path);
  theirs.write_attribute("/", "format", "ferula-tokens");
  theirs.write_attribute("/", "format_version", kTokenFileVersion);
  theirs.write_attribute("/", "tokenizer", "ids");
  theirs.write_attribute("/", "vocabulary", 50);
  std::vector<std::int32_t> tokens{1, 2, 49};
  std::vector<std::int64_t> offsets{0, 3};
  theirs.create_dataset("/tokens", DType::i32, std::array<std::int64_t, 1>{3})
      .write(0, {reinterpret_cast<std::byte*>(tokens.data()), DType::i32, {3}});
  theirs.create_dataset("/document_offsets", DType::i64, std::array<std::int64_t, 1>{2})
      .write(0, {reinterpret_cast<std::byte*>(offsets.data()), DType::i64, {2}});
  theirs.close();

  TokenFile file(*files_, path);
  file.take_digest(file.verify());
  file.require(*make_tokenizer("ids", 61));

  EXPECT_EQ(file.digest(), file.verify());
  EXPECT_THROW(file.require(*make_tokenizer("ids", 49)), DataError) << "ids that the model does not have";
  EXPECT_THROW(file.require(*bytes_), DataError);
}

TEST_F(Tokens, AByteThatChangedIsFoundAndTheOwnerIsToldWhatToDo) {
  folder_.write("a.txt", "the text of this file");
  const std::string path = write("t.h5", {"a.txt"}, *bytes_);
  const std::size_t place = bytes_of_file(path).find("the text of this file");
  ASSERT_NE(place, std::string::npos);
  std::fstream(path, std::ios::in | std::ios::out | std::ios::binary)
      .seekp(static_cast<std::streamoff>(place))
      .put('T');
  const auto problem = [&](TokenFileOwner owner) -> std::string {
    try {
      TokenFile(*files_, path, owner).verify();
    } catch (const DataError& error) {
      return error.what();
    }
    return "nothing was refused";
  };

  EXPECT_THAT(problem(TokenFileOwner::user), AllOf(HasSubstr("expected the tokens that were written"),
                                                   HasSubstr("make it anew from its text with: ferula tokenize")));
  EXPECT_THAT(problem(TokenFileOwner::run), HasSubstr("delete it: the run makes it anew"));
}

TEST_F(Tokens, ThatWereCutSayWhatToDo) {
  folder_.write("a.txt", std::string(5000, 'a'));
  const std::string path = write("t.h5", {"a.txt"}, *bytes_);
  for (const std::uintmax_t bytes : {std::uintmax_t{4000}, std::uintmax_t{100}, std::uintmax_t{0}}) {
    std::filesystem::resize_file(path, bytes);
    EXPECT_THAT(refusal(path),
                AllOf(HasSubstr(path), HasSubstr("with: ferula tokenize"), testing::Not(HasSubstr("delete"))));
  }
}

TEST_F(Tokens, RefuseMissingAndForeignFiles) {
  const std::string foreign = folder_.path("foreign.h5");
  Hdf5File::create(foreign).close();

  EXPECT_THAT(refusal(folder_.path("missing.h5")), HasSubstr("no such token file"));
  EXPECT_THAT(refusal(foreign), HasSubstr("expected a token file"));
  EXPECT_THAT(refusal(foreign), testing::Not(HasSubstr("delete")));
  for (const std::string& text : {folder_.write("text.txt", "not HDF5 at all"), folder_.write("tiny.txt", "x")})
    EXPECT_THAT(refusal(text), AllOf(HasSubstr(text + ": expected a token file, found no HDF5 file"),
                                     HasSubstr("data.text"), testing::Not(HasSubstr("delete"))));
  EXPECT_THAT(refusal(folder_.path("")), HasSubstr("expected a token file"));
}

TEST_F(Tokens, RefuseIdsOutsideTheVocabulary) {
  const std::string path = folder_.path("wrong.h5");
  std::array<std::int32_t, 3> ids{1, 7, 2};
  std::array<std::int64_t, 2> offsets{0, 3};
  Hdf5File wrong = Hdf5File::create(path);
  for (const char* name : {"tokenizer", "content_key", "created_by"}) wrong.write_attribute("/", name, "x");
  wrong.write_attribute("/", "format", "ferula-tokens");
  wrong.write_attribute("/", "format_version", kTokenFileVersion);
  wrong.write_attribute("/", "tokens_digest", to_hex(Digest{}));
  wrong.write_attribute("/", "vocabulary", std::int64_t{7});
  wrong.create_dataset("/tokens", DType::i32, std::array<std::int64_t, 1>{3})
      .write(0, {reinterpret_cast<std::byte*>(ids.data()), DType::i32, {3}});
  wrong.create_dataset("/document_offsets", DType::i64, std::array<std::int64_t, 1>{2})
      .write(0, {reinterpret_cast<std::byte*>(offsets.data()), DType::i64, {2}});
  wrong.close();
  const TokenFile file(*files_, path);

  std::vector<std::int32_t> tokens(3);
  try {
    file.read(0, tokens);
    FAIL() << "expected DataError";
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), HasSubstr("found 7 at token 1"));
  }
}

TEST_F(Tokens, AreNotWrittenWhereASourceHasChangedSinceTheSurvey) {
  const std::vector<std::string> patterns{folder_.write("a.txt", "before")};
  const TextCorpus corpus = survey_text(*files_, patterns, *bytes_);

  for (const char* text : {"after!", "longer than before", "short"}) {
    folder_.write("a.txt", text);
    EXPECT_THROW(write_token_file(*files_, folder_.path("t.h5"), corpus, *bytes_, "test"), DataError);
    EXPECT_FALSE(files_->exists(folder_.path("t.h5")));
  }
}

TEST_F(Tokens, OfARunAreWrittenOnceAndRewrittenWhenTheTextChanges) {
  const std::vector<std::string> patterns{folder_.write("a.txt", "before")};
  const std::string path = folder_.path("tokens.h5");
  const auto ensure = [&](OnChangedText on_changed) {
    ensure_token_file(*files_, path, patterns, *bytes_, "test", on_changed);
    return std::filesystem::last_write_time(path);
  };

  const auto written = ensure(OnChangedText::rewrite);
  EXPECT_EQ(ensure(OnChangedText::rewrite), written);
  EXPECT_EQ(ensure(OnChangedText::refuse), written);
  folder_.write("a.txt", "after");
  EXPECT_THROW(ensure(OnChangedText::refuse), DataError);
  EXPECT_EQ(TokenFile(*files_, path).tokens(), 6);
  ensure(OnChangedText::rewrite);
  EXPECT_EQ(TokenFile(*files_, path).tokens(), 5);
}

TEST_F(Tokens, OfARunThatCannotBeReadAreRewrittenUnlessItResumes) {
  const std::vector<std::string> patterns{folder_.write("a.txt", "text")};
  const std::string path = folder_.write("tokens.h5", "not HDF5 at all");
  const auto ensure = [&](OnChangedText on_changed) {
    ensure_token_file(*files_, path, patterns, *bytes_, "test", on_changed);
  };

  EXPECT_THROW(ensure(OnChangedText::refuse), DataError);
  ensure(OnChangedText::rewrite);
  EXPECT_EQ(TokenFile(*files_, path).tokens(), 4);
}

}  // namespace
}  // namespace ferula
