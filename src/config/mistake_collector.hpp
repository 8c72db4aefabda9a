// Collects the mistakes of one configuration, and which keys they leave in doubt.
#pragma once

#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "config/diagnostic.hpp"

namespace ferula {

/// Mistakes in the order in which they were found; beyond the first hundred they are dropped.
class MistakeCollector {
 public:
  void add(ConfigMistake mistake) {
    if (mistakes_.size() < kMostMistakes) mistakes_.push_back(std::move(mistake));
  }

  /// A mistake names this key or most likely meant it: rules that need its value then keep silent.
  void doubt(const std::string& key) { doubtful_.insert(key); }
  bool doubtful(const std::string& key) const { return doubtful_.contains(key); }
  /// A name that is unknown may have meant this key: rules keep silent about it unless it is given by its own name.
  void suspect(const std::string& key) { suspected_.insert(key); }
  bool suspected(const std::string& key) const { return suspected_.contains(key); }
  /// Whether a mistake stands under the section "prefix".
  bool any_under(const std::string& prefix) const {
    return std::any_of(mistakes_.begin(), mistakes_.end(),
                       [&](const ConfigMistake& mistake) { return mistake.key.starts_with(prefix + "."); });
  }

  /// Throws ConfigMistakes unless there are none.
  void throw_if_any() { ferula::throw_if_any(std::move(mistakes_)); }

 private:
  static constexpr std::size_t kMostMistakes = 100;
  std::vector<ConfigMistake> mistakes_;
  std::set<std::string> doubtful_, suspected_;
};

}  // namespace ferula
