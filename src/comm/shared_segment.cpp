#include "comm/shared_segment.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>

#include <cerrno>
#include <cstring>
#include <memory>
#include <random>

#include "base/narrow.hpp"

namespace ferula {
namespace {

constexpr std::int64_t kHeaderBytes = 4096;
constexpr std::int64_t kHugePage = 2 << 20;

std::string system_error() { return std::strerror(errno); }

std::uint64_t random_cookie() {
  std::random_device source;
  return (static_cast<std::uint64_t>(source()) << 32) | source();
}

bool is_large(std::int64_t bytes) { return bytes >= 2 * kHugePage; }

/// Bytes of a file with so much payload: large ones end with a huge page.
std::int64_t file_bytes(std::int64_t payload) {
  const std::int64_t total = kHeaderBytes + payload;
  return is_large(total) ? round_up(total, kHugePage) : total;
}

/// Addresses for so many bytes that begin at a multiple of a huge page: elsewhere the system cannot use one.
Mapping reserve_aligned(std::size_t bytes) {
  const std::size_t reserved = bytes + kHugePage;
  void* memory = mmap(nullptr, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED)
    throw CapacityError(fmt::format("cannot reserve {} bytes of addresses: {}", reserved, system_error()));
  auto* const first = static_cast<std::byte*>(memory);
  const std::size_t before = (kHugePage - reinterpret_cast<std::uintptr_t>(first) % kHugePage) % kHugePage;
  if (before > 0) munmap(first, before);
  if (const std::size_t behind = reserved - before - bytes; behind > 0) munmap(first + before + bytes, behind);
  return Mapping({first + before, bytes});
}

Mapping map_file(const FileHandle& file, std::int64_t bytes) {
  const auto size = narrow<std::size_t>(bytes);
  Mapping place;
  if (is_large(bytes)) place = reserve_aligned(size);
  void* const at = place.memory().empty() ? nullptr : place.memory().data();
  void* memory = mmap(at, size, PROT_READ | PROT_WRITE, MAP_SHARED | (at != nullptr ? MAP_FIXED : 0), file.get(), 0);
  if (memory == MAP_FAILED)
    throw CapacityError(fmt::format("cannot map {} bytes of shared memory: {}", bytes, system_error()));
  return at != nullptr ? std::move(place) : Mapping({static_cast<std::byte*>(memory), size});
}

/// Gives memory to a range of `file`. False where the system has none, and says why in errno.
bool commit_range(const FileHandle& file, std::int64_t begin, std::int64_t bytes) {
  int result = 0;
  do result = fallocate(file.get(), 0, begin, bytes);
  while (result != 0 && errno == EINTR);  // a signal, before Linux 6.9 any one
  return result == 0;
}

/// Lets the system back a large mapping of `file` by huge pages, which save page walks. It grants them where a page of
/// each is there; Linux before 6.1 refuses, at no cost.
void ask_for_huge_pages(const Mapping& mapping, const FileHandle& file) {
  constexpr int kCollapse = 25;  // MADV_COLLAPSE, which Debian 12's headers do not know
  const auto bytes = static_cast<std::int64_t>(mapping.memory().size());
  if (!is_large(bytes)) return;
  for (std::int64_t begin = 0; begin < bytes; begin += kHugePage)
    if (!commit_range(file, begin, kHeaderBytes)) return;  // who asks for all of it will hear why
  madvise(mapping.memory().data(), mapping.memory().size(), kCollapse);
}

}  // namespace

void FileTraits::close(int file) noexcept { ::close(file); }

Mapping::Mapping(Mapping&& other) noexcept : memory_(std::exchange(other.memory_, {})) {}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  std::swap(memory_, other.memory_);
  return *this;
}

Mapping::~Mapping() {
  if (!memory_.empty()) munmap(memory_.data(), memory_.size());
}

/// The first page of a segment.
struct SharedSegment::Header {
  std::uint64_t cookie = 0;
  std::atomic<std::uint32_t> retired{0};
};

SharedSegment::SharedSegment(Mapping mapping, FileHandle file) : mapping_(std::move(mapping)), file_(std::move(file)) {}

SharedSegment SharedSegment::create(std::int64_t bytes, Commit commit) {
  const std::int64_t total = file_bytes(bytes);
  FileHandle file(memfd_create("ferula", MFD_CLOEXEC));
  if (!file || ftruncate(file.get(), total) != 0)
    throw CapacityError(fmt::format("cannot create {} bytes of shared memory: {}", total, system_error()));
  Mapping mapping = map_file(file, total);
  if (commit == Commit::now) {
    ask_for_huge_pages(mapping, file);
    if (!commit_range(file, 0, total))
      throw CapacityError(
          fmt::format("the system refuses {} MiB of shared memory: {}; fewer ranks on a node or a higher "
                      "zero_optimization.stage need less",
                      total >> 20, system_error()));
  }
  SharedSegment segment(std::move(mapping), std::move(file));
  std::construct_at(&segment.header());
  segment.header().cookie = random_cookie();
  return segment;
}

SharedSegment SharedSegment::open(const SegmentCard& card) {
  const std::string path = fmt::format("/proc/{}/fd/{}", card.process, card.file);
  const FileHandle file(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!file) throw DeviceError(fmt::format("cannot open {}: {}", path, system_error()));
  const std::int64_t total = kHeaderBytes + card.bytes;
  if (lseek(file.get(), 0, SEEK_END) != total)
    throw DeviceError(fmt::format("expected {} bytes of shared memory in {}, found another size", total, path));
  SharedSegment segment(map_file(file, total), FileHandle());
  if (segment.header().cookie != card.cookie)
    throw DeviceError(fmt::format("{} is not the memory of the peer: its processes are counted elsewhere", path));
  return segment;
}

std::span<std::byte> SharedSegment::payload() const { return mapping_.memory().subspan(kHeaderBytes); }

SegmentCard SharedSegment::card(std::uint64_t serial) const {
  return {.process = getpid(),
          .file = file_.get(),
          .bytes = static_cast<std::int64_t>(payload().size()),
          .cookie = header().cookie,
          .serial = serial,
          .ok = 1};
}

void SharedSegment::retire() {
  madvise(payload().data(), payload().size(), MADV_REMOVE);
  header().retired.store(1);
}

bool SharedSegment::is_retired() const { return header().retired.load() != 0; }

SharedSegment::Header& SharedSegment::header() const { return *reinterpret_cast<Header*>(mapping_.memory().data()); }

}  // namespace ferula
