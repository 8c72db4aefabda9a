// What the host computes with, in the words of its maker.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace ferula {

/// Bytes of a result that no cache keeps until it is read: it is better written past the caches.
inline constexpr std::int64_t kMoreThanCached = 8 << 20;

/// "AMD EPYC 7313 16-Core Processor"; "processor" where the system does not tell. `root` stands for "/", for tests.
std::string host_processor(const std::filesystem::path& root = "/");

}  // namespace ferula
