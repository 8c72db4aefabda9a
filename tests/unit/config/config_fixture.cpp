// Helpers of the configuration's tests.
#include "config_fixture.hpp"

#include <algorithm>
#include <fstream>
#include <sstream>

namespace ferula {

std::filesystem::path source_root() { return FERULA_SOURCE_DIR; }

std::vector<std::filesystem::path> shipped_configs() {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(source_root() / "configs")) {
    if (entry.path().extension() == ".toml") paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

std::string read_text(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

LoadedConfig load(const std::string& text, const std::vector<std::string>& sets, const Environment& environment) {
  return load_config_text(text, "test.toml", environment, sets);
}

std::vector<ConfigMistake> mistakes_of(const std::string& text, const std::vector<std::string>& sets,
                                       const Environment& environment, const ResolveFacts& facts) {
  try {
    resolve_config(draft_config_text(text, "test.toml", environment, sets), facts);
  } catch (const ConfigMistakes& error) {
    return error.mistakes();
  }
  return {};
}

std::string shown(const std::vector<ConfigMistake>& mistakes) {
  std::string text;
  for (const ConfigMistake& mistake : mistakes) text += mistake.shown();
  return text;
}

}  // namespace ferula
