// Well-formed text passes; ill-formed parts become one replacement character each.
#include "data/utf8.hpp"

#include <gtest/gtest.h>

namespace ferula {
namespace {

const std::string kReplacement = "\xEF\xBF\xBD";

TEST(ValidUtf8, KeepsWellFormedText) {
  for (const std::string text : {"", "plain", "é Ω 火 🔥", "\xF4\x8F\xBF\xBF", "\xEE\x80\x80", "\n\t"}) {
    EXPECT_EQ(with_valid_utf8(text), text);
  }
}

TEST(ValidUtf8, ReplacesMaximalParts) {
  // The example of the Unicode standard, table 3-11: truncated sequences become one character each.
  EXPECT_EQ(with_valid_utf8("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41"),
            kReplacement + kReplacement + kReplacement + kReplacement + "A");
  // Table 3-9, surrogates: every byte for itself.
  EXPECT_EQ(with_valid_utf8("\xED\xA0\x80"), kReplacement + kReplacement + kReplacement);
}

TEST(ValidUtf8, RefusesOverlongFormsAndLoneBytes) {
  EXPECT_EQ(with_valid_utf8("\xC0\xAF"), kReplacement + kReplacement);
  EXPECT_EQ(with_valid_utf8("a\x80"), "a" + kReplacement);
  EXPECT_EQ(with_valid_utf8("\xF5"), kReplacement);
  EXPECT_EQ(with_valid_utf8("\xF4\x90\x80\x80"), kReplacement + kReplacement + kReplacement + kReplacement);
}

TEST(ValidUtf8, ReplacesALetterThatIsCutAtTheEnd) { EXPECT_EQ(with_valid_utf8("火\xE7\x81"), "火" + kReplacement); }

TEST(ValidUtf8, ALetterThatMayGoOnIsUnfinished) {
  EXPECT_EQ(unfinished_letter_bytes(""), 0u);
  EXPECT_EQ(unfinished_letter_bytes("a\xC3\xA4"), 0u);
  EXPECT_EQ(unfinished_letter_bytes("a\xC3"), 1u);
  EXPECT_EQ(unfinished_letter_bytes("\xF0\x9F\x98"), 3u);
  EXPECT_EQ(unfinished_letter_bytes("\xE1\x80\xE2"), 1u);
  EXPECT_EQ(unfinished_letter_bytes("\xFF"), 0u);      // begins nothing
  EXPECT_EQ(unfinished_letter_bytes("a\x80"), 0u);     // goes on from nothing
  EXPECT_EQ(unfinished_letter_bytes("\xE1\xC0"), 0u);  // C0 begins no letter
}

}  // namespace
}  // namespace ferula
