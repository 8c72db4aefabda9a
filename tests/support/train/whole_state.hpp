// A model's whole state, put together from the pieces of all ranks: what two layouts are compared by.
#pragma once

#include <map>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "params/parameter_store.hpp"

namespace ferula::test {

/// Bytes by role and tensor. Thread-safe.
class WholeState {
 public:
  /// Copies the pieces that one rank owns. Each element may come once: another piece of it is a test failure.
  void add(std::span<const OwnedPiece> pieces);
  /// Writes these bytes into pieces of tensors that are here, whatever layout asks.
  void fill(std::span<const OwnedPiece> pieces) const;
  /// The names "role tensor" whose bytes in `pieces` differ from these, and those that are not here.
  std::vector<std::string> differences(std::span<const OwnedPiece> pieces) const;
  /// The names whose bytes differ between the two, and those that only one has.
  std::vector<std::string> differences(const WholeState& other) const;
  /// The names of which not every element has come.
  std::vector<std::string> incomplete() const;
  std::size_t tensors() const { return tensors_.size(); }

 private:
  struct Tensor {
    std::vector<std::byte> bytes;
    std::int64_t elements_come = 0;
    std::int64_t elements = 0;
  };

  mutable std::mutex mutex_;
  std::map<std::string, Tensor> tensors_;  // by "role tensor"
};

}  // namespace ferula::test
