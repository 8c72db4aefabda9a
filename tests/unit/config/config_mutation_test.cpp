// Mutations of every key and every value of every shipped configuration: each illegal one must be reported at its line
// with the right name (of syntax errors the first, of all others every one at once), and the legal ones are counted and
// shown.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "config/toml_lexer.hpp"
#include "config_fixture.hpp"

namespace ferula {
namespace {

const ResolveFacts kTwoRanks{.data_parallel_ranks = 2, .training_samples = 100'000};

std::string replaced(const std::string& text, TextRange range, const std::string& by) {
  return text.substr(0, range.offset) + by + text.substr(range.offset + range.length);
}

std::string parent_of(const std::string& key) {
  const std::size_t dot = key.rfind('.');
  return dot == std::string::npos ? "" : key.substr(0, dot + 1);
}

/// One character of the word deleted, two neighbours swapped, or one inserted.
std::set<std::string> mutations_of(const std::string& word) {
  std::set<std::string> words;
  for (std::size_t i = 0; i <= word.size(); ++i) {
    for (const char inserted : {'q', '_'}) words.insert(word.substr(0, i) + inserted + word.substr(i));
    if (i < word.size() && word.size() > 1) words.insert(word.substr(0, i) + word.substr(i + 1));
    if (i + 1 < word.size()) {
      std::string swapped = word;
      std::swap(swapped[i], swapped[i + 1]);
      words.insert(swapped);
    }
  }
  words.erase(word);
  return words;
}

class ShippedConfig : public testing::TestWithParam<std::filesystem::path> {
 protected:
  const std::string text_ = read_text(GetParam());
  const SourceText lines_{text_, "test.toml"};
  const std::map<std::string, KeyPlace> keys_ = find_keys(text_);
};

TEST_P(ShippedConfig, IsLegalOnTwoRanks) {
  const auto mistakes = mistakes_of(text_, {}, {}, kTwoRanks);

  EXPECT_TRUE(mistakes.empty()) << shown(mistakes);
}

TEST_P(ShippedConfig, EveryMistypedKeyIsReportedAtItsPlaceWithTheRightName) {
  int count = 0;
  for (const auto& [key, place] : keys_) {
    const SourceLocation where = lines_.at(place.key);
    for (const std::string& word : mutations_of(text_.substr(place.key.offset, place.key.length))) {
      const auto mistakes = mistakes_of(replaced(text_, place.key, word), {}, {}, kTwoRanks);

      ASSERT_EQ(mistakes.size(), 1u) << word << " for " << key << "\n" << shown(mistakes);
      EXPECT_EQ(mistakes[0].where.label(), where.label());
      EXPECT_EQ(mistakes[0].message, fmt::format("unknown key '{}{}'", parent_of(key), word));
      EXPECT_EQ(mistakes[0].fix, fmt::format("did you mean '{}'?", key)) << word;
      ++count;
    }
  }
  fmt::print("{}: {} mistyped keys, {} reported, 0 legal\n", GetParam().filename().string(), count, count);
}

TEST_P(ShippedConfig, ABrokenKeyIsReportedAtItsLine) {
  for (const auto& [key, place] : keys_) {
    for (const std::string broken : {"a b", "a\"", "=", "a=="}) {
      const auto mistakes = mistakes_of(replaced(text_, place.key, broken), {}, {}, kTwoRanks);

      ASSERT_EQ(mistakes.size(), 1u) << broken << " for " << key << "\n" << shown(mistakes);
      EXPECT_EQ(mistakes[0].where.line, lines_.at(place.key).line) << mistakes[0].shown();
    }
  }
}

/// Values of every type, and numbers in and out of range.
const std::vector<std::string> kValues = {"true",       "0",         "1",         "2",          "3",
                                          "8",          "-1",        "1e18",      "0.5",        "1.0",
                                          "1.5",        "nan",       "-inf",      "\"\"",       "\"auto\"",
                                          "\"all\"",    "\"AdamW\"", "\"other\"", "[]",         "[0.5]",
                                          "[0.5, 0.5]", "[\"a\"]",   "{}",        "1979-05-27", "99999999999999999999"};

/// Which of them are legal where the other keys allow it, written down by hand. A key that is not named has none.
const std::map<std::string, std::set<std::string>> kLegal = {
    {"run.name", {"\"auto\"", "\"all\"", "\"AdamW\"", "\"other\""}},
    {"run.output_dir", {"\"auto\"", "\"all\"", "\"AdamW\"", "\"other\""}},
    {"run.device", {"\"auto\""}},
    {"run.seed", {"0", "1", "2", "3", "8", "1.0", "1e18"}},
    {"model.layers", {"1", "2", "3", "8", "1.0"}},
    {"model.heads", {"1", "2", "3", "8", "1.0"}},
    {"model.kv_heads", {"1", "2", "3", "8", "1.0", "\"auto\""}},
    {"model.ffn_width", {"1", "2", "3", "8", "1.0", "\"auto\""}},
    {"model.vocabulary", {"\"auto\""}},
    {"model.tied_embeddings", {"true", "\"auto\""}},
    {"model.norm_eps", {"1", "2", "3", "8", "1e18", "0.5", "1.0", "1.5"}},
    {"model.rope_theta", {"1", "2", "3", "8", "1e18", "0.5", "1.0", "1.5"}},
    {"model.dropout", {"0", "0.5"}},
    {"data.text", {"\"auto\"", "\"all\"", "\"AdamW\"", "\"other\"", "[\"a\"]"}},
    {"data.tokens", {"\"auto\"", "\"all\"", "\"AdamW\"", "\"other\""}},
    {"data.sequence_length", {"1", "2", "3", "8", "1.0"}},
    {"data.validation_fraction", {"0.5"}},
    {"training.steps", {"1", "2", "3", "8", "1.0"}},
    {"training.epochs", {"1", "2", "3", "8", "0.5", "1.0", "1.5"}},
    {"training.train_batch_size", {"2", "8", "\"auto\""}},
    {"training.train_micro_batch_size_per_gpu", {"1", "2", "3", "8", "1.0", "\"auto\""}},
    {"training.gradient_accumulation_steps", {"1", "2", "3", "8", "1.0", "\"auto\""}},
    {"training.gradient_clipping", {"0", "1", "2", "3", "8", "1e18", "0.5", "1.0", "1.5"}},
    {"training.evaluate_every", {"0", "1", "2", "3", "8", "1.0", "1e18"}},
    {"optimizer.type", {"\"AdamW\""}},
    {"optimizer.no_decay", {"\"auto\"", "\"all\"", "\"AdamW\"", "\"other\"", "[]", "[\"a\"]"}},
    {"optimizer.params", {"{}"}},
    {"optimizer.params.lr", {"0", "1", "2", "3", "8", "1e18", "0.5", "1.0", "1.5"}},
    {"optimizer.params.betas", {"[0.5, 0.5]"}},
    {"optimizer.params.eps", {"1", "2", "3", "8", "1e18", "0.5", "1.0", "1.5"}},
    {"optimizer.params.weight_decay", {"0", "1", "2", "3", "8", "1e18", "0.5", "1.0", "1.5"}},
    {"scheduler.params", {"{}"}},
    {"scheduler.params.warmup_max_lr", {"0", "1", "2", "3", "8", "1e18", "0.5", "1.0", "1.5", "\"auto\""}},
    {"scheduler.params.warmup_num_steps", {"1", "2", "3", "8", "1.0"}},
    {"scheduler.params.total_num_steps", {"1e18", "\"auto\""}},
    {"scheduler.params.warmup_min_ratio", {"0", "1", "0.5", "1.0"}},
    {"scheduler.params.cos_min_ratio", {"0", "1", "0.5", "1.0"}},
    {"bf16.enabled", {"true", "\"auto\""}},
    {"zero_optimization.stage", {"0", "1", "2", "3", "1.0"}},
    {"zero_optimization.shard_size", {"1", "2", "\"all\""}},
    {"zero_optimization.overlap_comm", {"true", "\"auto\""}},
    {"zero_optimization.stage3_prefetch_bucket_size", {"\"auto\"", "0", "1", "2", "3", "8", "1.0", "1e18"}},
    {"zero_optimization.stage3_param_persistence_threshold", {"\"auto\"", "0", "1", "2", "3", "8", "1.0", "1e18"}},
    {"checkpoint.every_steps", {"0", "1", "2", "3", "8", "1.0", "1e18"}},
    {"checkpoint.keep_last", {"1", "2", "3", "8", "1.0", "1e18"}},
    {"checkpoint.keep_every", {"0", "1", "2", "3", "8", "1.0", "1e18"}},
    {"debug.check_collectives", {"true"}},
    {"debug.collective_timeout_s", {"1", "2", "3", "8", "1e18", "0.5", "1.0", "1.5"}},
};

/// Whether the mistake, or the rule between keys that is broken, names this key at this place.
bool is_about(const ConfigMistake& mistake, const std::string& key, const SourceLocation& where) {
  const auto matches = [&](const std::string& name, const SourceLocation& place) {
    return name == key && place.label() == where.label();
  };
  return matches(mistake.key, mistake.where) ||
         std::any_of(mistake.related.begin(), mistake.related.end(),
                     [&](const RelatedKey& other) { return matches(other.key, other.where); });
}

TEST_P(ShippedConfig, EveryReplacedValueIsLegalOrReportedAtItsPlace) {
  int legal = 0, reported = 0;
  std::string legal_ones;
  for (const auto& [key, place] : keys_) {
    if (place.value.length == 0) continue;
    const auto known = kLegal.find(key);
    for (const std::string& value : kValues) {
      const auto mistakes = mistakes_of(replaced(text_, place.value, value), {}, {}, kTwoRanks);

      if (mistakes.empty()) {
        EXPECT_TRUE(known != kLegal.end() && known->second.contains(value)) << key << " = " << value << " passed";
        legal_ones += fmt::format(" {}={}", key, value);
        ++legal;
        continue;
      }
      ++reported;
      for (const ConfigMistake& mistake : mistakes) {
        const bool names_a_key_in_it = mistake.shown().find(key + ".") != std::string::npos;
        EXPECT_TRUE(is_about(mistake, key, lines_.at(place.value)) || (value == "{}" && names_a_key_in_it))
            << key << " = " << value << "\n"
            << shown(mistakes);
      }
    }
  }
  fmt::print("{}: {} replaced values, {} illegal and reported, {} legal:{}\n", GetParam().filename().string(),
             legal + reported, reported, legal, legal_ones);
}

/// Whether the mistake names this key, a key in its table, or a rule between it and others, on this line.
bool is_on_line(const ConfigMistake& mistake, const std::string& key, std::int64_t line) {
  const auto matches = [&](const std::string& name, const SourceLocation& place) {
    return (name.empty() || name == key || name.starts_with(key + ".")) && place.line == line;
  };
  return matches(mistake.key, mistake.where) ||
         std::any_of(mistake.related.begin(), mistake.related.end(),
                     [&](const RelatedKey& other) { return matches(other.key, other.where); });
}

TEST_P(ShippedConfig, EveryMistypedValueIsLegalOrReportedAtItsLine) {
  int reported = 0;
  std::vector<std::string> legal;
  for (const auto& [key, place] : keys_) {
    if (place.value.length == 0) continue;
    const std::int64_t line = lines_.at(place.value).line;
    for (const std::string& value : mutations_of(text_.substr(place.value.offset, place.value.length))) {
      const auto mistakes = mistakes_of(replaced(text_, place.value, value), {}, {}, kTwoRanks);

      if (mistakes.empty()) {
        legal.push_back(fmt::format("{}={}", key, value));
        continue;
      }
      ++reported;
      for (const ConfigMistake& mistake : mistakes)
        EXPECT_TRUE(is_on_line(mistake, key, line)) << key << " = " << value << "\n" << shown(mistakes);
    }
  }
  fmt::print("{}: {} mistyped values, {} illegal and reported, {} legal: {}\n", GetParam().filename().string(),
             static_cast<std::size_t>(reported) + legal.size(), reported, legal.size(), fmt::join(legal, " "));
}

/// The keys that hold a value of their own, not a table, in the order of the text.
std::vector<std::string> leaves_of(const std::map<std::string, KeyPlace>& keys) {
  std::vector<std::string> leaves;
  for (const auto& [key, place] : keys) {
    const auto inside = keys.lower_bound(key + ".");
    const bool is_table = inside != keys.end() && inside->first.starts_with(key + ".");
    if (!is_table && place.value.length > 0) leaves.push_back(key);
  }
  std::sort(leaves.begin(), leaves.end(), [&](const std::string& one, const std::string& other) {
    return keys.at(one).key.offset < keys.at(other).key.offset;
  });
  return leaves;
}

/// Half of all keys mistyped and the values of the other half of a wrong type: one mistake for each, none more.
TEST_P(ShippedConfig, ManyIllegalMutationsAreAllReportedAtOnce) {
  const std::vector<std::string> leaves = leaves_of(keys_);
  for (const std::size_t parity : {0u, 1u}) {
    std::string text = text_;
    for (std::size_t at = leaves.size(); at-- > 0;) {  // from the end: places before stay
      const KeyPlace& place = keys_.at(leaves[at]);
      const std::string word = text_.substr(place.key.offset, place.key.length);
      text = at % 2 == parity ? replaced(text, place.key, word + "q") : replaced(text, place.value, "1979-05-27");
    }
    const std::map<std::string, KeyPlace> mutated = find_keys(text);
    const SourceText lines(text, "test.toml");

    const auto mistakes = mistakes_of(text, {}, {}, kTwoRanks);

    ASSERT_EQ(mistakes.size(), leaves.size()) << shown(mistakes);
    for (std::size_t at = 0; at < leaves.size(); ++at) {
      const bool mistyped = at % 2 == parity;
      const std::string key = leaves[at] + (mistyped ? "q" : "");
      const TextRange range = mistyped ? mutated.at(key).key : mutated.at(key).value;
      EXPECT_EQ(mistakes[at].key, key);
      EXPECT_EQ(mistakes[at].where.label(), lines.at(range).label());
    }
  }
}

TEST_P(ShippedConfig, OfTwoSyntaxErrorsTheFirstIsReported) {
  const std::vector<std::string> leaves = leaves_of(keys_);
  for (std::size_t at = 0; at + 1 < leaves.size(); ++at) {
    for (const std::string broken : {"\"open", "[1, ", "1.2.3", "tru", "= 5"}) {
      const KeyPlace& first = keys_.at(leaves[at]);
      const KeyPlace& second = keys_.at(leaves[at + 1]);

      const auto mistakes =
          mistakes_of(replaced(replaced(text_, second.value, broken), first.value, broken), {}, {}, kTwoRanks);

      ASSERT_EQ(mistakes.size(), 1u) << leaves[at] << " = " << broken << "\n" << shown(mistakes);
      EXPECT_EQ(mistakes[0].where.line, lines_.at(first.value).line) << leaves[at] << ' ' << mistakes[0].shown();
    }
  }
}

INSTANTIATE_TEST_SUITE_P(EveryFile, ShippedConfig, testing::ValuesIn(shipped_configs()), [](const auto& info) {
  std::string name = info.param.stem().string();
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

}  // namespace
}  // namespace ferula
