#include "device/out_of_memory.hpp"

#include "base/error.hpp"

namespace ferula {

void throw_out_of_memory(std::string_view device, std::int64_t bytes, MemoryKind kind, const MemoryLedger& ledger,
                         std::string_view left) {
  std::string held;
  for (std::size_t index = 0; index < kMemoryKinds; ++index) {
    const auto each = static_cast<MemoryKind>(index);
    held += fmt::format("{}{} {} MiB", held.empty() ? "" : ", ", name_of(each), ledger.current_bytes(each) >> 20);
  }
  throw CapacityError(fmt::format("out of memory on {}: asked for {} MiB of {}; this rank holds {}{}{}{}{}", device,
                                  bytes >> 20, name_of(kind), held, left.empty() ? "" : "; ", left,
                                  ledger.remedy().empty() ? "" : ". ", ledger.remedy()));
}

}  // namespace ferula
