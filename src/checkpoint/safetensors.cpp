// The header is not trusted: every number is checked against the size of the file before a byte is read by it.
#include "checkpoint/safetensors.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <set>

#include "checkpoint/json_fields.hpp"

namespace ferula {
namespace {

constexpr std::int64_t kLengthBytes = 8;
constexpr std::int64_t kMostHeaderBytes = 100'000'000;  // the limit of the format
constexpr std::int64_t kMostIndexBytes = 100'000'000;
constexpr std::size_t kMostNameShown = 200;
constexpr std::string_view kSingleName = "model.safetensors";
constexpr std::string_view kIndexFileName = "model.safetensors.index.json";

struct ElementSize {
  std::string_view dtype;
  std::int64_t bytes;
};
constexpr std::array kElementSizes = {ElementSize{"F32", 4},  ElementSize{"BF16", 2},    ElementSize{"F16", 2},
                                      ElementSize{"F64", 8},  ElementSize{"I64", 8},     ElementSize{"I32", 4},
                                      ElementSize{"I16", 2},  ElementSize{"I8", 1},      ElementSize{"U64", 8},
                                      ElementSize{"U32", 4},  ElementSize{"U16", 2},     ElementSize{"U8", 1},
                                      ElementSize{"BOOL", 1}, ElementSize{"F8_E4M3", 1}, ElementSize{"F8_E5M2", 1}};

[[noreturn]] void damaged(const std::string& where, const std::string& expected, const std::string& found) {
  throw DamageError(
      fmt::format("{}: expected {}, found {}; this is no safetensors file, or it is damaged: download it again", where,
                  expected, found));
}

std::int64_t element_bytes(const std::string& dtype, const std::string& where) {
  const auto found = std::find_if(kElementSizes.begin(), kElementSizes.end(),
                                  [&](const ElementSize& size) { return size.dtype == dtype; });
  if (found == kElementSizes.end())
    throw DataError(
        fmt::format("{}: expected elements of F32, BF16 or F16, found '{}'; convert the model to one of "
                    "them",
                    where, dtype.substr(0, 20)));
  return found->bytes;
}

/// Elements of the shape times `width`; nothing where that is more than a file can have.
std::optional<std::int64_t> bytes_of_shape(const Shape& shape, std::int64_t width) {
  std::int64_t bytes = width;
  for (const std::int64_t size : shape) {
    if (size != 0 && bytes > std::numeric_limits<std::int64_t>::max() / size) return std::nullopt;
    bytes *= size;
  }
  return bytes;
}

SafeTensor tensor_of(const boost::json::value& value, std::int64_t data_begin, std::int64_t data_bytes,
                     const std::string& where) {
  JsonFields fields(value, where);
  SafeTensor tensor{.dtype = fields.text("dtype"), .shape = integers_of(fields.array("shape"), where), .bytes = {}};
  const std::vector<std::int64_t> offsets = integers_of(fields.array("data_offsets"), where);
  const std::optional<std::int64_t> needed = bytes_of_shape(tensor.shape, element_bytes(tensor.dtype, where));
  if (offsets.size() != 2 || offsets[0] > offsets[1] || offsets[1] > data_bytes)
    damaged(where, fmt::format("two ascending data_offsets of at most {}", data_bytes),
            fmt::format("[{}]", fmt::join(offsets, ", ")));
  if (needed != offsets[1] - offsets[0])
    damaged(where, fmt::format("the bytes of {} [{}]", tensor.dtype, fmt::join(tensor.shape, ", ")),
            fmt::format("{} bytes", offsets[1] - offsets[0]));
  tensor.bytes = {data_begin + offsets[0], data_begin + offsets[1]};
  return tensor;
}

/// Each byte of the data belongs to one tensor.
void check_cover(const SafeTensors& tensors, std::int64_t data_begin, std::int64_t file_bytes,
                 const std::string& where) {
  std::vector<std::pair<ByteRange, std::string_view>> ranges;
  for (const auto& [name, tensor] : tensors) ranges.emplace_back(tensor.bytes, name);
  std::sort(ranges.begin(), ranges.end(), [](const auto& a, const auto& b) {
    return std::pair(a.first.begin, a.first.end) < std::pair(b.first.begin, b.first.end);
  });
  std::int64_t end = data_begin;
  for (const auto& [range, name] : ranges) {
    if (range.begin != end)
      damaged(fmt::format("{}: {}", where, name), fmt::format("it to begin at byte {}", end),
              fmt::format("byte {}, which {}", range.begin,
                          range.begin < end ? "overlaps another tensor" : "leaves a hole"));
    end = range.end;
  }
  if (end != file_bytes) damaged(where, fmt::format("{} bytes by its header", end), fmt::format("{}", file_bytes));
}

SafeTensors read_header(File& file) {
  const std::int64_t bytes = file.bytes();
  if (bytes < kLengthBytes) damaged(file.path(), "a length of 8 bytes", fmt::format("{} bytes", bytes));
  std::array<std::uint8_t, kLengthBytes> length{};
  file.read_at(0, std::as_writable_bytes(std::span(length)));
  std::uint64_t header_bytes = 0;
  for (std::size_t i = 0; i < length.size(); ++i) header_bytes |= std::uint64_t{length[i]} << (8 * i);
  const std::int64_t most = std::min(kMostHeaderBytes, bytes - kLengthBytes);
  if (header_bytes > static_cast<std::uint64_t>(most))
    damaged(file.path(), fmt::format("a header of at most {} bytes", most), fmt::format("{}", header_bytes));
  std::string header(static_cast<std::size_t>(header_bytes), '\0');
  file.read_at(kLengthBytes, std::as_writable_bytes(std::span(header)));
  return parse_safetensors_header(header, kLengthBytes + std::ssize(header), bytes, file.path());
}

/// The file of each tensor.
std::map<std::string, std::string> weight_map(FileSystem& files, const std::string& index) {
  const boost::json::value parsed = parse_json(read_file(files, index, kMostIndexBytes), index);
  JsonFields fields(parsed, index);
  JsonFields map(fields.value("weight_map"), fields.where("weight_map"));
  std::map<std::string, std::string> found;
  for (const auto& entry : map.all()) {
    const std::string file = map.text(entry.key());
    if (file.find('/') != std::string::npos || !file.ends_with(".safetensors"))
      throw DataError(fmt::format("{}: expected the name of a .safetensors file in this folder, found '{}'",
                                  map.where(entry.key()), file.substr(0, 80)));
    found[std::string(entry.key())] = file;
  }
  return found;
}

[[noreturn]] void refuse_other_formats(FileSystem& files, const std::string& folder) {
  const bool pickled = files.exists(join_path(folder, "pytorch_model.bin")) ||
                       files.exists(join_path(folder, "pytorch_model.bin.index.json"));
  throw DataError(fmt::format(
      "{}: expected {} or {}, found {}", folder, kSingleName, kIndexFileName,
      pickled ? "pytorch_model.bin, a pickle, which can run any program when it is read; let transformers write the "
                "other format: AutoModelForCausalLM.from_pretrained(DIR).save_pretrained(NEW_DIR)"
              : "neither; download the whole folder of the model"));
}

}  // namespace

SafeTensors parse_safetensors_header(std::string_view header, std::int64_t data_begin, std::int64_t file_bytes,
                                     const std::string& where) {
  if (!header.starts_with('{')) damaged(where, "a header of JSON", "something else");
  SafeTensors tensors;
  const boost::json::value parsed = parse_json(header, where);
  for (const auto& entry : JsonFields(parsed, where).all()) {
    const std::string name(entry.key());
    if (name == "__metadata__") continue;
    const std::string place = fmt::format("{}: {}", where, name.substr(0, kMostNameShown));
    tensors[name] = tensor_of(entry.value(), data_begin, file_bytes - data_begin, place);
  }
  check_cover(tensors, data_begin, file_bytes, where);
  return tensors;
}

SafetensorsFolder::SafetensorsFolder(FileSystem& files, const std::string& folder) {
  const std::string single = join_path(folder, kSingleName), index = join_path(folder, kIndexFileName);
  if (files.exists(single)) {
    open(files, single);
  } else if (files.exists(index)) {
    open_indexed(files, folder, index);
  } else {
    refuse_other_formats(files, folder);
  }
}

void SafetensorsFolder::open(FileSystem& files, const std::string& path) {
  std::unique_ptr<File> file = files.open(path, OpenMode::read);
  for (auto& [name, tensor] : read_header(*file)) {
    const auto [place, is_new] = tensors_.try_emplace(name, Tensor{tensor, files_.size()});
    if (!is_new) throw DataError(fmt::format("{}: {} is also in {}", path, name, files_[place->second.file]->path()));
  }
  files_.push_back(std::move(file));
}

void SafetensorsFolder::open_indexed(FileSystem& files, const std::string& folder, const std::string& index) {
  const std::map<std::string, std::string> expected = weight_map(files, index);
  std::set<std::string> names;
  for (const auto& [tensor, file] : expected) names.insert(file);
  for (const std::string& name : names) {
    const std::string path = join_path(folder, name);
    if (!files.exists(path))
      throw DamageError(fmt::format("{}: {} names it, and it is not there; download it", path, index));
    open(files, path);
  }
  for (const auto& [tensor, file] : expected) {
    const auto found = tensors_.find(tensor);
    if (found == tensors_.end() || files_[found->second.file]->path() != join_path(folder, file))
      throw DamageError(fmt::format("{}: expected {} in {}, found it elsewhere or nowhere; download both again", index,
                                    tensor, file));
  }
  for (const auto& [tensor, found] : tensors_)
    if (!expected.contains(tensor))
      throw DamageError(fmt::format("{}: {} is not in the index {}", files_[found.file]->path(), tensor, index));
}

std::string SafetensorsFolder::where(std::string_view tensor) const {
  const auto found = tensors_.find(tensor);
  return found == tensors_.end() ? std::string(tensor)
                                 : fmt::format("{}: {}", files_[found->second.file]->path(), tensor);
}

void SafetensorsFolder::read(const Tensor& tensor, std::int64_t begin, std::span<std::byte> target) const {
  FERULA_CHECK(begin >= 0 && tensor.bytes.begin + begin + std::ssize(target) <= tensor.bytes.end, "bytes {} of {}",
               begin, tensor.bytes.end - tensor.bytes.begin);
  files_[tensor.file]->read_at(tensor.bytes.begin + begin, target);
}

}  // namespace ferula
