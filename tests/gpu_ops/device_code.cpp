// The code of each GPU is an ELF image of its own inside the program: machine 190, the architecture in its flags, each
// kernel in a section .text.NAME, and frame sizes as attributes in .nv.info (attribute 0x11: symbol, bytes).
#include "device_code.hpp"

#include <elf.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <string_view>

namespace ferula::gpu_test {
namespace {

constexpr std::uint16_t kCudaMachine = 190;
constexpr std::uint8_t kSizedAttribute = 4;
constexpr std::uint8_t kFrameSize = 0x11;

/// A part of a file whose reads never leave it.
class Image {
 public:
  explicit Image(std::string_view bytes) : bytes_(bytes) {}

  template <class T>
  T read(std::size_t at) const {
    T value{};
    if (at + sizeof value <= bytes_.size()) std::memcpy(&value, bytes_.data() + at, sizeof value);
    return value;
  }
  std::string_view text(std::size_t at) const {
    const std::string_view rest = at < bytes_.size() ? bytes_.substr(at) : std::string_view();
    return rest.substr(0, rest.find('\0'));
  }

  Elf64_Ehdr header() const { return read<Elf64_Ehdr>(0); }
  Elf64_Shdr section(std::size_t index) const {
    return read<Elf64_Shdr>(header().e_shoff + index * sizeof(Elf64_Shdr));
  }
  std::string_view name_of(const Elf64_Shdr& section_header) const {
    return text(section(header().e_shstrndx).sh_offset + section_header.sh_name);
  }

 private:
  std::string_view bytes_;
};

/// The architecture moved from the lowest byte of the flags to the next one in newer toolkits.
int architecture_of(std::uint32_t flags) {
  const int high = static_cast<int>(flags >> 8 & 0xffu), low = static_cast<int>(flags & 0xffu);
  return high >= 50 && high <= 200 ? high : low;
}

std::string symbol_name(const Image& image, std::uint32_t index) {
  for (std::size_t at = 0; at < image.header().e_shnum; ++at) {
    const Elf64_Shdr table = image.section(at);
    if (table.sh_type != SHT_SYMTAB) continue;
    const auto symbol = image.read<Elf64_Sym>(table.sh_offset + index * sizeof(Elf64_Sym));
    return std::string(image.text(image.section(table.sh_link).sh_offset + symbol.st_name));
  }
  return {};
}

/// Fills in the frames that .nv.info tells of.
void read_frames(const Image& image, const Elf64_Shdr& info, Kernels& kernels) {
  for (std::size_t at = info.sh_offset; at + 4 <= info.sh_offset + info.sh_size;) {
    const auto format = image.read<std::uint8_t>(at), attribute = image.read<std::uint8_t>(at + 1);
    const auto size = image.read<std::uint16_t>(at + 2);
    if (format == kSizedAttribute && attribute == kFrameSize)
      if (const auto kernel = kernels.find(symbol_name(image, image.read<std::uint32_t>(at + 4)));
          kernel != kernels.end())
        kernel->second = image.read<std::uint32_t>(at + 8);
    at += 4 + (format == kSizedAttribute ? size : 0u);
  }
}

void read_image(const Image& image, std::map<int, Kernels>& all) {
  constexpr std::string_view kText = ".text.";
  Kernels& kernels = all[architecture_of(image.header().e_flags)];
  for (std::size_t at = 0; at < image.header().e_shnum; ++at)
    if (const std::string_view name = image.name_of(image.section(at)); name.starts_with(kText))
      kernels[std::string(name.substr(kText.size()))] = 0;
  for (std::size_t at = 0; at < image.header().e_shnum; ++at)
    if (const Elf64_Shdr section = image.section(at); image.name_of(section) == ".nv.info")
      read_frames(image, section, kernels);
}

}  // namespace

std::map<int, Kernels> kernels_of(const std::filesystem::path& program) {
  std::ifstream file(program, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  std::map<int, Kernels> all;
  for (std::size_t at = bytes.find(ELFMAG, 1); at != std::string::npos; at = bytes.find(ELFMAG, at + 1)) {
    const Image image(std::string_view(bytes).substr(at));
    if (image.header().e_machine == kCudaMachine && image.header().e_shentsize == sizeof(Elf64_Shdr))
      read_image(image, all);
  }
  return all;
}

}  // namespace ferula::gpu_test
