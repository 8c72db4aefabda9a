#include "comm/gather_texts.hpp"

#include <algorithm>
#include <span>

namespace ferula {
namespace {

TensorView bytes_view(std::span<char> text) {
  const auto bytes = std::as_writable_bytes(text);
  return {bytes.data(), DType::u8, {std::ssize(bytes)}};
}

}  // namespace

std::vector<std::string> gather_texts(Communicator& group, Stream& stream, const std::string& mine) {
  const double longest = agree_max(group, stream, static_cast<double>(mine.size()));
  const auto room = static_cast<std::size_t>(longest) + 1;  // a zero ends each of them
  std::vector<char> own(room), all(room * static_cast<std::size_t>(group.size()));
  std::copy(mine.begin(), mine.end(), own.begin());
  group.all_gather(stream, bytes_view(own), bytes_view(all));
  stream.synchronize();
  std::vector<std::string> texts;
  for (std::size_t rank = 0; rank < static_cast<std::size_t>(group.size()); ++rank)
    texts.emplace_back(all.data() + rank * room);
  return texts;
}

}  // namespace ferula
