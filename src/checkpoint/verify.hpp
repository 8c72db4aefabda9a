// Checks every byte of a checkpoint and names what is damaged, down to the tensor and the elements.
#pragma once

#include <string>
#include <vector>

#include "checkpoint/manifest.hpp"

namespace ferula {

/// Elements [first_element, end_element) of a flattened tensor.
struct DamagedPart {
  std::string tensor;
  std::string role;
  std::int64_t first_element = 0;
  std::int64_t end_element = 0;
};

/// A damaged place of a file.
struct Damage {
  std::string file;
  ByteRange bytes;                 // of the file; empty where all of it is meant
  std::string text;                // the whole sentence, without the parts
  std::vector<DamagedPart> parts;  // what lies there; none where that is in no tensor
};

struct VerifyReport {
  std::string checkpoint;
  std::int64_t files = 0;
  std::int64_t bytes = 0;
  std::vector<Damage> damages;
  bool good() const { return damages.empty(); }
};

/// Reads the whole checkpoint once. Damage goes into the report; only errors of the system are thrown.
VerifyReport verify_checkpoint(FileSystem& files, const std::string& checkpoint);

}  // namespace ferula
