// Looking things up in a manifest, and whether its pieces cover every tensor.
#include "checkpoint/manifest.hpp"

#include <algorithm>
#include <functional>
#include <numeric>

namespace ferula {
namespace {

void check_role(const Manifest& manifest, const StoredTensor& tensor, const StoredRole& role,
                const std::string& where) {
  std::int64_t next = 0;
  const auto refuse = [&](std::string_view problem, std::int64_t from, std::int64_t until) {
    throw DataError(
        fmt::format("{}: elements {} to {} of {} ({}) are {}", where, from, until, tensor.name, role.role, problem));
  };
  for (const StoredPiece& piece : role.pieces) {
    if (piece.shard < 0 || piece.shard >= static_cast<std::int64_t>(manifest.shards.size()))
      throw DataError(fmt::format("{}: {} ({}) is said to be in shard {} of {}", where, tensor.name, role.role,
                                  piece.shard, manifest.shards.size()));
    if (piece.offset > next) refuse("missing", next, piece.offset);
    if (piece.offset < next) refuse("stored twice", piece.offset, next);
    next = piece.offset + piece.count;
    const std::int64_t file_bytes = manifest.shards[static_cast<std::size_t>(piece.shard)].bytes;
    if (piece.count < 0 || piece.count > file_bytes || piece.position + bytes_of(role.dtype, piece.count) > file_bytes)
      refuse("beyond the end of their file", piece.offset, next);
  }
  const std::int64_t count = count_of(tensor.shape);
  if (next < count) refuse("missing", next, count);
  if (next > count) refuse("beyond the tensor's shape", count, next);
}

}  // namespace

std::int64_t count_of(const Shape& shape) {
  return std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
}

const StoredRole* StoredTensor::role(std::string_view wanted) const {
  const auto found =
      std::find_if(roles.begin(), roles.end(), [&](const auto& stored) { return stored.role == wanted; });
  return found == roles.end() ? nullptr : &*found;
}

const StoredTensor* Manifest::tensor(std::string_view wanted) const {
  const auto found =
      std::lower_bound(tensors.begin(), tensors.end(), wanted,
                       [](const StoredTensor& stored, std::string_view name) { return stored.name < name; });
  if (found != tensors.end() && found->name == wanted) return &*found;
  const auto tied = std::find_if(tensors.begin(), tensors.end(), [&](const StoredTensor& stored) {
    return std::find(stored.aliases.begin(), stored.aliases.end(), wanted) != stored.aliases.end();
  });
  return tied == tensors.end() ? nullptr : &*tied;
}

const FileEntry* Manifest::file(std::string_view wanted) const {
  const auto found = std::find_if(files.begin(), files.end(), [&](const auto& entry) { return entry.name == wanted; });
  return found == files.end() ? nullptr : &*found;
}

void check_coverage(const Manifest& manifest, const std::string& where) {
  for (const StoredTensor& tensor : manifest.tensors)
    for (const StoredRole& role : tensor.roles) check_role(manifest, tensor, role, where);
}

}  // namespace ferula
