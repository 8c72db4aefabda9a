// Makes safetensors files for tests, good ones and others.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "params/param_spec.hpp"

namespace ferula {

/// A tensor and its bytes.
struct RawTensor {
  std::string name;
  std::string dtype;
  Shape shape;
  std::string bytes;
};

/// The bytes of values, one after the other.
template <class T>
std::string raw(const std::vector<T>& values) {
  std::string bytes(values.size() * sizeof(T), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

/// The length in eight bytes, the header, and the data behind it.
inline std::string safetensors_file(const std::string& header, const std::string& data) {
  return raw<std::uint64_t>({header.size()}) + header + data;
}

/// A file of these tensors, behind each other.
inline std::string safetensors_file(const std::vector<RawTensor>& tensors) {
  std::string header = R"({"__metadata__":{"format":"pt"})", data;
  for (const RawTensor& tensor : tensors) {
    header += fmt::format(R"(,"{}":{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})", tensor.name, tensor.dtype,
                          fmt::join(tensor.shape, ","), data.size(), data.size() + tensor.bytes.size());
    data += tensor.bytes;
  }
  return safetensors_file(header + "}", data);
}

}  // namespace ferula
