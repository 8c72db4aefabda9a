#include "generate/gather_results.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace ferula {

namespace {

/// A record: this header, then the tokens, then the bytes of the text.
struct RecordHeader {
  std::int64_t tokens = 0;
  std::int64_t text_bytes = 0;
  double first_token_s = 0.0;
  double total_s = 0.0;
  FinishReason finish = FinishReason::length;
};

void append(std::vector<std::byte>& bytes, std::span<const std::byte> part) {
  bytes.insert(bytes.end(), part.begin(), part.end());
}

std::vector<std::byte> pack(std::span<const GenerationResult> results) {
  std::vector<std::byte> bytes;
  for (const auto& result : results) {
    const RecordHeader header{.tokens = std::ssize(result.tokens),
                              .text_bytes = std::ssize(result.text),
                              .first_token_s = result.first_token_s,
                              .total_s = result.total_s,
                              .finish = result.finish};
    append(bytes, std::as_bytes(std::span(&header, 1)));
    append(bytes, std::as_bytes(std::span(result.tokens)));
    append(bytes, std::as_bytes(std::span(result.text)));
  }
  return bytes;
}

/// Copies the next bytes into `target` and steps over them.
void take(std::span<const std::byte>& bytes, std::span<std::byte> target) {
  FERULA_CHECK(bytes.size() >= target.size(), "{} bytes of a result are left, {} are wanted", bytes.size(),
               target.size());
  std::copy_n(bytes.begin(), target.size(), target.begin());
  bytes = bytes.subspan(target.size());
}

GenerationResult unpack(std::span<const std::byte>& bytes) {
  RecordHeader header;
  take(bytes, std::as_writable_bytes(std::span(&header, 1)));
  GenerationResult result;
  result.tokens.resize(static_cast<std::size_t>(header.tokens));
  result.text.resize(static_cast<std::size_t>(header.text_bytes));
  take(bytes, std::as_writable_bytes(std::span(result.tokens)));
  take(bytes, std::as_writable_bytes(std::span(result.text)));
  result.first_token_s = header.first_token_s;
  result.total_s = header.total_s;
  result.finish = header.finish;
  return result;
}

}  // namespace

std::vector<GenerationResult> gather_results(Communicator& group, Stream& stream, std::size_t requests,
                                             std::span<const GenerationResult> mine) {
  const std::vector<std::byte> packed = pack(mine);
  const auto longest = static_cast<std::int64_t>(agree_max(group, stream, static_cast<double>(packed.size())));
  if (longest == 0) return {};
  std::vector<std::byte> memory(static_cast<std::size_t>(group.size() * longest));  // of the host, which fills it
  const TensorView whole(memory.data(), DType::u8, {std::ssize(memory)});
  const TensorView shard = whole.rows(group.rank() * longest, longest);
  std::ranges::copy(packed, shard.data);
  group.all_gather(stream, shard, whole);
  stream.synchronize();

  std::vector<GenerationResult> results(requests);
  for (std::size_t rank = 0; rank < static_cast<std::size_t>(group.size()); ++rank) {
    std::span<const std::byte> bytes(whole.data + static_cast<std::int64_t>(rank) * longest,
                                     static_cast<std::size_t>(longest));
    for (std::size_t i = rank; i < requests; i += static_cast<std::size_t>(group.size())) results[i] = unpack(bytes);
  }
  return results;
}

}  // namespace ferula
