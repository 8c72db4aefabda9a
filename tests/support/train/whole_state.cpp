#include "support/train/whole_state.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "checkpoint/manifest.hpp"

namespace ferula::test {
namespace {

std::string name_of(const OwnedPiece& piece) { return piece.role + " " + piece.tensor; }

/// The first byte of a piece within its whole tensor.
std::int64_t position_of(const OwnedPiece& piece) { return piece.offset * bytes_of(piece.data.dtype); }

}  // namespace

void WholeState::add(std::span<const OwnedPiece> pieces) {
  const std::lock_guard lock(mutex_);
  for (const OwnedPiece& piece : pieces) {
    Tensor& tensor = tensors_[name_of(piece)];
    tensor.elements = count_of(piece.global_shape);
    tensor.bytes.resize(static_cast<std::size_t>(tensor.elements * bytes_of(piece.data.dtype)));
    std::copy_n(piece.data.data, piece.data.bytes(), tensor.bytes.begin() + position_of(piece));
    tensor.elements_come += piece.data.count();
    EXPECT_LE(tensor.elements_come, tensor.elements) << name_of(piece) << " has two owners";
  }
}

void WholeState::fill(std::span<const OwnedPiece> pieces) const {
  const std::lock_guard lock(mutex_);
  for (const OwnedPiece& piece : pieces)
    std::copy_n(tensors_.at(name_of(piece)).bytes.begin() + position_of(piece), piece.data.bytes(), piece.data.data);
}

std::vector<std::string> WholeState::differences(std::span<const OwnedPiece> pieces) const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> names;
  for (const OwnedPiece& piece : pieces) {
    const auto found = tensors_.find(name_of(piece));
    const bool same = found != tensors_.end() && std::equal(piece.data.data, piece.data.data + piece.data.bytes(),
                                                            found->second.bytes.begin() + position_of(piece));
    if (!same) names.push_back(name_of(piece));
  }
  return names;
}

std::vector<std::string> WholeState::differences(const WholeState& other) const {
  const std::scoped_lock lock(mutex_, other.mutex_);
  std::vector<std::string> names;
  for (const auto& [name, tensor] : tensors_) {
    const auto found = other.tensors_.find(name);
    if (found == other.tensors_.end() || found->second.bytes != tensor.bytes) names.push_back(name);
  }
  for (const auto& [name, tensor] : other.tensors_)
    if (tensors_.find(name) == tensors_.end()) names.push_back(name);
  return names;
}

std::vector<std::string> WholeState::incomplete() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> names;
  for (const auto& [name, tensor] : tensors_)
    if (tensor.elements_come != tensor.elements) names.push_back(name);
  return names;
}

}  // namespace ferula::test
