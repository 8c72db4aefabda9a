// Files of safetensors, as Hugging Face publishes weights: eight bytes of length, a header in JSON, and the elements.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "params/param_spec.hpp"
#include "storage/block_hashes.hpp"
#include "storage/file_system.hpp"

namespace ferula {

/// One tensor: row-major, little-endian, without gaps.
struct SafeTensor {
  std::string dtype;  // as the format spells it: F32, BF16, F16, …
  Shape shape;
  ByteRange bytes;  // in its file
};

using SafeTensors = std::map<std::string, SafeTensor, std::less<>>;

/// The tensors that `header` describes, of a file of `file_bytes` whose elements begin at `data_begin`. DataError where
/// it is no such header, a shape and its bytes contradict each other, or the tensors do not cover the data exactly
/// once. `where` names the file.
SafeTensors parse_safetensors_header(std::string_view header, std::int64_t data_begin, std::int64_t file_bytes,
                                     const std::string& where);

/// The weights of a model: `model.safetensors` in a folder, or the files of `model.safetensors.index.json`.
class SafetensorsFolder {
 public:
  /// Reads all headers. DataError where there is no such file, as above, and where index and files contradict each
  /// other.
  SafetensorsFolder(FileSystem& files, const std::string& folder);

  struct Tensor : SafeTensor {
    std::size_t file = 0;
  };
  const std::map<std::string, Tensor, std::less<>>& tensors() const { return tensors_; }
  /// "DIR/model-00001-of-00002.safetensors: NAME" for messages.
  std::string where(std::string_view tensor) const;
  /// Bytes [begin, begin + target.size()) of a tensor.
  void read(const Tensor& tensor, std::int64_t begin, std::span<std::byte> target) const;

 private:
  void open(FileSystem& files, const std::string& path);
  void open_indexed(FileSystem& files, const std::string& folder, const std::string& index);

  std::vector<std::unique_ptr<File>> files_;
  std::map<std::string, Tensor, std::less<>> tensors_;
};

}  // namespace ferula
