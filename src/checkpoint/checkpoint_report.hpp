// What `ferula checkpoint list` and `show` print, as data.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/manifest.hpp"

namespace ferula {

/// One line of `checkpoint list`.
struct CheckpointEntry {
  std::optional<std::int64_t> step;    // of its name or, of a complete one, its manifest
  std::string checkpoint;              // its folder
  std::string problem;                 // empty of a complete one: manifest and file sizes are right, data is not read
  std::optional<std::int64_t> bytes;   // of all files of a complete one
  std::optional<TrainingState> state;  // of a complete one
};

/// The folder that `path` (RUN, RUN/checkpoints or one checkpoint) means. DataError where there is none.
std::string listed_folder(FileSystem& files, const std::string& path);
/// All checkpoints of such a path, in the order of their steps; of one checkpoint this one, complete or not.
std::vector<CheckpointEntry> list_checkpoints(FileSystem& files, const std::string& path);

struct TensorEntry {
  std::string name;
  Shape shape;
  std::vector<std::string> aliases;
  std::map<std::string, DType> roles;
};

/// What is in one checkpoint.
struct CheckpointDescription {
  std::string checkpoint;
  TrainingState state;
  std::string config_text;
  std::int64_t shards = 0;
  std::int64_t parameters = 0;  // elements of all values
  std::map<std::string, std::int64_t> role_bytes;
  std::vector<TensorEntry> tensors;
};

/// `path` as in find_checkpoint.
CheckpointDescription describe_checkpoint(FileSystem& files, const std::string& path);

}  // namespace ferula
