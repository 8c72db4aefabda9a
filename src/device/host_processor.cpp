#include "device/host_processor.hpp"

#include <fstream>

namespace ferula {

std::string host_processor(const std::filesystem::path& root) {
  std::ifstream file(root / "proc" / "cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const std::size_t value = line.find(": ");
    if (line.starts_with("model name") && value != std::string::npos) return line.substr(value + 2);
  }
  return "processor";
}

}  // namespace ferula
