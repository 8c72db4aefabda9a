// Memory that other processes of this node can map, without a name in the file system: it ends with its last user.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/handle.hpp"

namespace ferula {

struct FileTraits {
  using type = int;
  static int invalid() { return -1; }
  static void close(int file) noexcept;
};
using FileHandle = Handle<FileTraits>;

/// Owns a mapping of shared memory; move-only.
class Mapping {
 public:
  Mapping() = default;
  explicit Mapping(std::span<std::byte> memory) : memory_(memory) {}
  Mapping(Mapping&& other) noexcept;
  Mapping& operator=(Mapping&& other) noexcept;
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping();
  std::span<std::byte> memory() const { return memory_; }

 private:
  std::span<std::byte> memory_;
};

/// What a process tells its peers, so that they can map a segment of its. `ok` is 0 where it has none to offer.
struct SegmentCard {
  std::int32_t process = 0;
  std::int32_t file = -1;
  std::int64_t bytes = 0;    // of the payload
  std::uint64_t cookie = 0;  // stands in the segment: proves that the right file was opened
  std::uint64_t serial = 0;
  std::uint32_t ok = 0;
};

/// A mapped segment: a page of its own for administration, then the payload, on a page boundary and zero at first.
/// Large ones are rounded up to huge pages, which the system may grant.
class SharedSegment {
 public:
  enum class Commit : std::uint8_t { now, when_touched };

  /// A new segment of this process with at least so many bytes. Throws CapacityError where memory is short.
  static SharedSegment create(std::int64_t bytes, Commit commit);
  /// The segment behind a peer's card. Throws DeviceError where this process cannot reach it.
  static SharedSegment open(const SegmentCard& card);

  std::span<std::byte> payload() const;
  SegmentCard card(std::uint64_t serial) const;
  /// Once all peers have mapped it.
  void close_file() { file_.reset(); }
  /// Gives the payload's memory back to the system and tells the peers, who may still have it mapped.
  void retire();
  bool is_retired() const;

 private:
  struct Header;
  SharedSegment(Mapping mapping, FileHandle file);
  Header& header() const;

  Mapping mapping_;
  FileHandle file_;
};

}  // namespace ferula
