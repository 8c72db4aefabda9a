// Messages and exit codes of errors; checked narrowing; ownership of handles.
#include "base/error.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "base/handle.hpp"
#include "base/narrow.hpp"
#include "support/message_of.hpp"

namespace ferula {
namespace {

using test::message_of;
using testing::AllOf;
using testing::HasSubstr;

TEST(Check, NamesPlaceConditionAndValues) {
  const int ranks = 3;

  const std::string message = message_of([&] { FERULA_CHECK(ranks == 2, "there are {} ranks", ranks); });

  EXPECT_THAT(message, AllOf(HasSubstr("error_test.cpp:"), HasSubstr("expected ranks == 2: there are 3 ranks"),
                             HasSubstr("please report this")));
}

TEST(Check, NeedsNoMessage) {
  EXPECT_THAT(message_of([] { FERULA_CHECK(1 > 2); }), HasSubstr("expected 1 > 2; please"));
  EXPECT_NO_THROW(FERULA_CHECK(2 > 1));
}

TEST(Error, CarriesTheExitCodeOfItsKind) {
  EXPECT_EQ(Error("x").code(), ExitCode::failed);
  EXPECT_EQ(ConfigError("x").code(), ExitCode::usage);
  EXPECT_EQ(DataError("x").code(), ExitCode::failed);
  EXPECT_EQ(DeviceError("x").code(), ExitCode::failed);
  EXPECT_EQ(CapacityError("x").code(), ExitCode::does_not_fit);
  EXPECT_EQ(CommError("x").code(), ExitCode::failed);
}

TEST(Narrow, RefusesAValueThatDoesNotFit) {
  EXPECT_EQ(narrow<int>(std::int64_t{7}), 7);
  EXPECT_THAT(message_of([] { narrow<int>(std::int64_t{1} << 31); }), HasSubstr("2147483648 does not fit"));
  EXPECT_THAT(message_of([] { narrow<std::uint32_t>(-1); }), HasSubstr("-1 does not fit"));
}

TEST(RoundUp, GivesTheNextMultiple) {
  EXPECT_EQ(round_up(0, 64), 0);
  EXPECT_EQ(round_up(65, 64), 128);
  EXPECT_EQ(ceil_div(7, 3), 3);
}

struct Recorded {
  using type = int;
  static type invalid() { return -1; }
  static void close(type value) noexcept { closed->push_back(value); }
  static inline std::vector<int>* closed = nullptr;
};

class HandleTest : public testing::Test {
 protected:
  HandleTest() { Recorded::closed = &closed_; }
  ~HandleTest() override { Recorded::closed = nullptr; }
  std::vector<int> closed_;
};

TEST_F(HandleTest, ClosesOnceAtTheEndOfItsScope) {
  {
    Handle<Recorded> first(3);
    const Handle<Recorded> second(std::move(first));
    EXPECT_FALSE(first);
    EXPECT_EQ(second.get(), 3);
  }

  EXPECT_EQ(closed_, std::vector<int>{3});
}

TEST_F(HandleTest, AssignmentClosesWhatItReplaces) {
  Handle<Recorded> handle(1);

  handle = Handle<Recorded>(2);

  EXPECT_EQ(closed_, std::vector<int>{1});
  EXPECT_EQ(handle.get(), 2);
}

TEST_F(HandleTest, ReleaseGivesAwayWithoutClosing) {
  Handle<Recorded> handle(5);

  EXPECT_EQ(handle.release(), 5);
  handle.reset();

  EXPECT_TRUE(closed_.empty());
}

}  // namespace
}  // namespace ferula
