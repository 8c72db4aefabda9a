// Dropout, with Philox for a vector of counters at a time, and normal numbers.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/random.cpp"
// clang-format off
#include "ops/cpu/simd_targets.hpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
// clang-format on
#include "ops/cpu/random.hpp"
#include "ops/cpu/parallel.hpp"
#include "ops/cpu/simd-inl.hpp"
#include "ops/dropout_counter.hpp"

HWY_BEFORE_NAMESPACE();
namespace ferula::cpu::HWY_NAMESPACE {

using WordTag = hn::RebindToUnsigned<FloatTag>;
inline constexpr WordTag kWord;

/// The halves of the 64-bit products of all lanes with a constant.
template <class Words>
struct WideProduct {
  Words high, low;
};

template <class Tag, class Words = hn::Vec<Tag>>
HWY_INLINE WideProduct<Words> multiply_wide(Tag word, Words a, std::uint32_t constant) {
  const hn::RepartitionToWide<Tag> wide;
  const Words factor = hn::Set(word, constant);
  const auto even = hn::MulEven(a, factor);
  const auto odd = hn::MulEven(hn::BitCast(word, hn::ShiftRight<32>(hn::BitCast(wide, a))), factor);
  const Words high = hn::OddEven(hn::BitCast(word, odd), hn::BitCast(word, hn::ShiftRight<32>(even)));
  return {high, hn::Mul(a, factor)};
}

/// `philox` of base/philox.hpp for as many counters as a vector has lanes: {first[0] + lane, first[1], first[2],
/// first[3]}. Writes their words counter after counter.
template <class Tag>
HWY_INLINE void philox_blocks(Tag word, std::uint64_t key, const PhiloxBlock& first, std::uint32_t* to) {
  if constexpr (hn::MaxLanes(Tag()) == 1) {
    const PhiloxBlock block = philox(key, first);
    std::copy(block.begin(), block.end(), to);
  } else {
    auto k0 = static_cast<std::uint32_t>(key);
    auto k1 = static_cast<std::uint32_t>(key >> 32);
    auto c0 = hn::Iota(word, first[0]), c1 = hn::Set(word, first[1]);
    auto c2 = hn::Set(word, first[2]), c3 = hn::Set(word, first[3]);
    for (int round = 0; round < 10; ++round) {
      const auto p0 = multiply_wide(word, c0, 0xD2511F53u);
      const auto p1 = multiply_wide(word, c2, 0xCD9E8D57u);
      c0 = hn::Xor(hn::Xor(p1.high, c1), hn::Set(word, k0));
      c1 = p1.low;
      c2 = hn::Xor(hn::Xor(p0.high, c3), hn::Set(word, k1));
      c3 = p0.low;
      k0 += 0x9E3779B9u;
      k1 += 0xBB67AE85u;
    }
    hn::StoreInterleaved4(c0, c1, c2, c3, word, to);
  }
}

/// Drops and scales the columns of one row.
template <class T>
void dropout_row(const DropoutSpec& spec, std::int64_t sample, std::int32_t position, T* x, std::int64_t width) {
  constexpr std::int64_t kChunk = 4 * kLanes;  // columns whose random bits are drawn together
  const DropoutCounter counter = dropout_counter(spec.key, *spec.step.as<std::int64_t>(), sample, position);
  const auto threshold = hn::Set(kWord, dropout_threshold(spec.rate));
  const Floats scale = hn::Set(kFloat, static_cast<float>(1.0 / (1.0 - static_cast<double>(spec.rate))));
  std::array<std::uint32_t, kChunk> bits;
  for (std::int64_t begin = 0; begin < width; begin += kChunk) {
    PhiloxBlock first = counter.words;
    first[0] = static_cast<std::uint32_t>(begin / 4);
    philox_blocks(kWord, counter.key, first, bits.data());
    sweep(std::min(kChunk, width - begin), [&](std::int64_t at, std::int64_t lanes) HWY_ATTR {
      const auto drawn = hn::ShiftRight<8>(hn::LoadU(kWord, bits.data() + at));
      const auto dropped = hn::RebindMask(kFloat, hn::Lt(drawn, threshold));
      store(hn::IfThenZeroElse(dropped, hn::Mul(load(x + begin + at, lanes), scale)), x + begin + at, lanes);
    });
  }
}

void dropout_piece(const DropoutSpec& spec, TensorView x) {
  const std::int64_t* sample = spec.sample.as<std::int64_t>();
  const std::int32_t* position = spec.position.as<std::int32_t>();
  for (std::int64_t row = 0; row < x.dim(0); ++row) {
    if (x.dtype == DType::bf16)
      dropout_row(spec, sample[row], position[row], row_of<bf16>(x, row), x.dim(1));
    else
      dropout_row(spec, sample[row], position[row], row_of<float>(x, row), x.dim(1));
  }
}

}  // namespace ferula::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ferula::cpu {
namespace {

HWY_EXPORT(dropout_piece);

template <class T>
void fill_normal_range(std::span<T> x, std::uint64_t key, std::int64_t first, float std) {
  for (std::size_t index = 0; index < x.size(); ++index) {
    const double value = normal(key, static_cast<std::uint64_t>(first) + index);
    x[index] = static_cast<T>(static_cast<float>(static_cast<double>(std) * value));
  }
}

}  // namespace

void dropout(const DropoutSpec& spec, TensorView x) {
  check_compute_type(x);
  FERULA_CHECK(spec.rate >= 0.0f && spec.rate < 1.0f, "a dropout rate of {}", spec.rate);
  if (x.count() == 0 || spec.rate == 0.0f) return;
  const TensorView matrix = as_matrix(x);
  parallel_ranges(matrix.dim(0), rows_per_piece(matrix.dim(1)), [&](std::int64_t begin, std::int64_t rows) {
    DropoutSpec part = spec;
    part.sample = spec.sample.rows(begin, rows);
    part.position = spec.position.rows(begin, rows);
    HWY_DYNAMIC_DISPATCH(dropout_piece)(part, matrix.rows(begin, rows));
  });
}

void fill_normal(TensorView x, std::uint64_t key, std::int64_t first, float std) {
  check_compute_type(x);
  parallel_ranges(x.count(), kPieceElements, [&](std::int64_t begin, std::int64_t length) {
    const TensorView part = x.range(begin, length);
    if (x.dtype == DType::bf16)
      fill_normal_range(part.span<bf16>(), key, first + begin, std);
    else
      fill_normal_range(part.span<float>(), key, first + begin, std);
  });
}

}  // namespace ferula::cpu
#endif  // HWY_ONCE
