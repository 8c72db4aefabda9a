// An interpolated trigram model of bytes: what a trained model must beat at the least.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <unordered_map>

namespace ferula::test {

/// Jelinek and Mercer 1980. With h the k − 1 bytes before byte c, n the counts of the training text:
///   P₀(c) = 1 / 256,  Pₖ(c | h) = λ · n(h, c) / n(h) + (1 − λ) · Pₖ₋₁(c | h without its first byte),  k = 1, 2, 3.
/// λ depends on k and on the number of binary digits of n(h); it is fitted by deleted interpolation: expectation
/// maximisation of the likelihood of each training byte under counts from which its own occurrence is removed.
class TrigramModel {
 public:
  static constexpr int kOrders = 3;

  /// Counts and fits. `training`: bytes as tokens, 0 … 255.
  explicit TrigramModel(std::span<const std::int32_t> training);

  /// P₃(next | before, last).
  double probability(std::int32_t before, std::int32_t last, std::int32_t next) const;
  /// The mean of −ln P₃ in nats over tokens [first, tokens.size()), each after the two before it; `first` is at
  /// least 2.
  double loss(std::span<const std::int32_t> tokens, std::size_t first) const;
  /// λ of Pₖ for a history that was counted `count` times.
  double weight(int order, std::int64_t count) const;

 private:
  /// Bytes packed into a number, the last one lowest.
  using Key = std::uint32_t;
  struct Order {
    std::unordered_map<Key, std::int64_t> events;     // n(h, c) by h and c
    std::unordered_map<Key, std::int64_t> histories;  // n(h)
    std::array<double, 64> weight{};                  // λ by binary digits of n(h)
  };

  void count(Key event);
  void fit(int order);
  double mixed(Key event, int order, std::int64_t removed) const;

  std::array<Order, kOrders> orders_;
};

}  // namespace ferula::test
