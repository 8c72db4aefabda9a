// A small model's state in memory.
#include "fake_state.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "base/philox.hpp"

namespace ferula {
namespace {

std::int64_t count_of_fake(const FakeTensor& tensor) {
  return std::accumulate(tensor.shape.begin(), tensor.shape.end(), std::int64_t{1}, std::multiplies<>());
}

std::int64_t total_count() {
  std::int64_t total = 0;
  for (const FakeTensor& tensor : fake_tensors()) total += count_of_fake(tensor);
  return total;
}

/// The bytes of a piece at `step`: the low bits of a counter-based random number of each element.
std::vector<std::byte> expected_bytes(const OwnedPiece& piece, std::int64_t step) {
  const std::uint64_t key = random_key(static_cast<std::uint64_t>(step), piece.role + piece.tensor);
  const auto width = static_cast<std::size_t>(bytes_of(piece.data.dtype));
  std::vector<std::byte> bytes(static_cast<std::size_t>(piece.data.bytes()));
  for (std::int64_t index = 0; index < piece.data.count(); ++index) {
    const std::uint64_t bits =
        key * 0x9E3779B97F4A7C15ull + static_cast<std::uint64_t>(piece.offset + index + 1) * 0xD2511F53CD9E8D57ull;
    const std::uint64_t mixed = bits ^ (bits >> 29);
    std::memcpy(bytes.data() + static_cast<std::size_t>(index) * width, &mixed, width);
  }
  return bytes;
}

}  // namespace

const std::vector<FakeTensor>& fake_tensors() {
  static const std::vector<FakeTensor> tensors{{"embedding.weight", {301, 707}},     {"blocks.0.norm.weight", {3}},
                                               {"blocks.0.query.weight", {64, 129}}, {"blocks.0.query.bias", {1}},
                                               {"blocks.1.query.weight", {5, 7}},    {"blocks.1.cube", {3, 4, 5}}};
  return tensors;
}

const std::vector<StateRole>& fake_roles() {
  static const std::vector<StateRole> roles{{"value", DType::bf16}, {"master", DType::f32}, {"exp_avg", DType::f32}};
  return roles;
}

FakeState::FakeState(const Cut& cut, int rank) {
  const double whole = std::accumulate(cut.begin(), cut.end(), 0.0);
  const auto edge = [&](int index) {
    const double before = std::accumulate(cut.begin(), cut.begin() + index, 0.0);
    return static_cast<std::int64_t>(before / whole * static_cast<double>(total_count()));
  };
  const std::int64_t begin = edge(rank);
  const std::int64_t end = rank + 1 == static_cast<int>(cut.size()) ? total_count() : edge(rank + 1);
  for (const StateRole& role : fake_roles()) {
    std::int64_t first = 0;
    for (const FakeTensor& tensor : fake_tensors()) {
      const std::int64_t count = count_of_fake(tensor);
      const std::int64_t from = std::max(begin, first) - first;
      const std::int64_t until = std::min(end, first + count) - first;
      first += count;
      if (from >= until) continue;
      auto& memory = memory_.emplace_back(static_cast<std::size_t>((until - from) * bytes_of(role.dtype)));
      pieces_.push_back({.tensor = tensor.name,
                         .global_shape = tensor.shape,
                         .role = role.name,
                         .offset = from,
                         .data = {memory.data(), role.dtype, {until - from}}});
    }
  }
}

void FakeState::fill(std::int64_t step) {
  for (std::size_t index = 0; index < pieces_.size(); ++index) memory_[index] = expected_bytes(pieces_[index], step);
  for (std::size_t index = 0; index < pieces_.size(); ++index) pieces_[index].data.data = memory_[index].data();
}

void FakeState::clear() {
  for (auto& memory : memory_) std::fill(memory.begin(), memory.end(), std::byte{0});
}

std::int64_t FakeState::differences(std::int64_t step) const {
  std::int64_t differing = 0;
  for (std::size_t index = 0; index < pieces_.size(); ++index)
    if (memory_[index] != expected_bytes(pieces_[index], step)) ++differing;
  return differing;
}

bool FakeState::is_clear() const {
  return std::all_of(memory_.begin(), memory_.end(), [](const auto& memory) {
    return std::all_of(memory.begin(), memory.end(), [](std::byte byte) { return byte == std::byte{0}; });
  });
}

}  // namespace ferula
