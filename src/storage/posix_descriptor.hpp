// File descriptors that close themselves, and system calls that signals interrupt. For .cpp files alone.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <string_view>

#include "base/handle.hpp"
#include "storage/system_error.hpp"

namespace ferula {

struct DescriptorTraits {
  using type = int;
  static int invalid() { return -1; }
  static void close(int descriptor) noexcept { ::close(descriptor); }
};
using Descriptor = Handle<DescriptorTraits>;

/// Calls until it is not interrupted by a signal.
template <class Call>
auto uninterrupted(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

/// Throws as throw_system_error; `action` says what the file was to be opened for.
inline Descriptor open_descriptor(const std::string& path, int flags, std::string_view action) {
  constexpr mode_t kUserWritesOthersRead = 0644;
  Descriptor descriptor(uninterrupted([&] { return ::open(path.c_str(), flags | O_CLOEXEC, kUserWritesOthersRead); }));
  if (!descriptor) throw_system_error(errno, path, action);
  return descriptor;
}

}  // namespace ferula
