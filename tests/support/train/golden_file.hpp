// Whole datasets of the golden files that the scripts of tests/oracles write.
#pragma once

#include <string>
#include <vector>

#include "storage/hdf5_file.hpp"

namespace ferula::test {

/// tests/oracles/golden/NAME.h5.
inline Hdf5File open_golden(const std::string& name) {
  return Hdf5File::open(std::string(FERULA_SOURCE_DIR) + "/tests/oracles/golden/" + name + ".h5");
}

/// The elements of a dataset in row-major order.
template <class T>
std::vector<T> read_whole(const Hdf5File& file, const std::string& name) {
  const Hdf5Dataset dataset = file.dataset(name);
  std::vector<T> values(static_cast<std::size_t>(dataset.count()));
  dataset.read(0, {reinterpret_cast<std::byte*>(values.data()), dtype_of<T>, {dataset.count()}});
  return values;
}

}  // namespace ferula::test
