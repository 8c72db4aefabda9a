#include "comm/element_copies.hpp"

#include <algorithm>
#include <cstring>
#if defined(__x86_64__)
#include <emmintrin.h>
#endif

#include "base/narrow.hpp"

namespace ferula {
namespace {

#if defined(__x86_64__)
/// Copies past the caches: lines of the destination are not read before they are written.
void stream_bytes(const std::byte* from, std::byte* to, std::size_t bytes) {
  constexpr std::size_t kLineBytes = 64, kAhead = 2048;
  const std::size_t before =
      std::min(bytes, (kLineBytes - reinterpret_cast<std::uintptr_t>(to) % kLineBytes) % kLineBytes);
  std::memcpy(to, from, before);
  std::size_t at = before;
  for (; at + kLineBytes <= bytes; at += kLineBytes) {
    __builtin_prefetch(from + at + kAhead);
    const auto* const source = reinterpret_cast<const __m128i*>(from + at);
    auto* const target = reinterpret_cast<__m128i*>(to + at);
    for (std::size_t part = 0; part < kLineBytes / sizeof(*source); ++part)
      _mm_stream_si128(target + part, _mm_loadu_si128(source + part));
  }
  _mm_sfence();  // before the others hear of it
  std::memcpy(to + at, from + at, bytes - at);
}
#else
void stream_bytes(const std::byte* from, std::byte* to, std::size_t bytes) { std::memcpy(to, from, bytes); }
#endif

}  // namespace

void copy_elements(const TensorView& from, const TensorView& to) {
  FERULA_CHECK(from.bytes() == to.bytes(), "cannot copy {} bytes to {}", from.bytes(), to.bytes());
  if (from.data != to.data && !from.empty()) std::memcpy(to.data, from.data, narrow<std::size_t>(from.bytes()));
}

void stream_elements(const TensorView& from, const TensorView& to) {
  FERULA_CHECK(from.bytes() == to.bytes(), "cannot copy {} bytes to {}", from.bytes(), to.bytes());
  if (from.data != to.data) stream_bytes(from.data, to.data, narrow<std::size_t>(from.bytes()));
}

}  // namespace ferula
