// The manifest of a checkpoint: every file with its hash, where each element of each tensor lies, and the state of the
// run. It is written last, so a checkpoint with a good manifest is whole.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/dtype.hpp"
#include "checkpoint/training_state.hpp"
#include "params/param_spec.hpp"
#include "storage/block_hashes.hpp"

namespace ferula {

inline constexpr std::string_view kManifestName = "MANIFEST.json";
inline constexpr std::string_view kIndexName = "index.h5";
inline constexpr std::string_view kConfigName = "config.toml";

/// A small file: one hash over all of it.
struct FileEntry {
  std::string name;
  std::int64_t bytes = 0;
  Digest digest;
};

/// The file of one writer. The hashes of its blocks are in a table file, which is a FileEntry.
struct ShardEntry {
  std::string name;   // shard-00000.h5
  std::string table;  // shard-00000.json
  std::int64_t bytes = 0;
};

/// Elements [offset, offset + count) of a flattened tensor, from byte `position` of a shard file.
struct StoredPiece {
  std::int64_t shard = 0;
  std::int64_t offset = 0;
  std::int64_t count = 0;
  std::int64_t position = 0;
  std::string dataset;  // its name in the shard file, for readers of HDF5
};

struct StoredRole {
  std::string role;
  DType dtype = DType::f32;
  std::vector<StoredPiece> pieces;  // ascending, without gap or overlap
};

struct StoredTensor {
  std::string name;
  Shape shape;
  std::vector<std::string> aliases;  // names of tensors that are tied to this one
  std::vector<StoredRole> roles;

  const StoredRole* role(std::string_view name) const;
};

struct Manifest {
  TrainingState state;
  Digest config_digest;
  std::vector<FileEntry> files;
  std::vector<ShardEntry> shards;
  std::vector<StoredTensor> tensors;  // in the order of their names

  /// By its name or an alias; null where there is none.
  const StoredTensor* tensor(std::string_view name) const;
  /// Null where there is none.
  const FileEntry* file(std::string_view name) const;
};

std::int64_t count_of(const Shape& shape);

/// JSON that starts with the format's version and the hash of the rest.
std::string manifest_text(const Manifest& manifest);
/// Throws DamageError where the hash differs or the text is cut, DataError where another version of the program wrote
/// it or its numbers contradict each other. `where` names the file in messages.
Manifest parse_manifest(std::string_view text, const std::string& where);
/// Throws DataError that names the tensor, role and elements that are missing, stored twice or outside their file.
void check_coverage(const Manifest& manifest, const std::string& where);

}  // namespace ferula
