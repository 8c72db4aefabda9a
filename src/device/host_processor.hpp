// What the host computes with, in the words of its maker.
#pragma once

#include <filesystem>
#include <string>

namespace ferula {

/// "AMD EPYC 7313 16-Core Processor"; "processor" where the system does not tell. `root` stands for "/", for tests.
std::string host_processor(const std::filesystem::path& root = "/");

}  // namespace ferula
