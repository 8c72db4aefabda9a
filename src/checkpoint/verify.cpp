// Verification of a whole checkpoint.
#include "checkpoint/verify.hpp"

#include <algorithm>

#include "base/narrow.hpp"
#include "checkpoint/checkpoint_folder.hpp"
#include "checkpoint/shard_table.hpp"

namespace ferula {
namespace {

constexpr std::int64_t kStagingBytes = 4 * kHashBlockBytes;

class Verification {
 public:
  Verification(FileSystem& files, const std::string& checkpoint) : files_(&files) { report_.checkpoint = checkpoint; }

  VerifyReport run() {
    Manifest manifest;
    if (!guarded(kManifestName, [&] { manifest = load_manifest(*files_, report_.checkpoint); })) return report_;
    for (const FileEntry& file : manifest.files)
      guarded(file.name, [&] { load_text(*files_, report_.checkpoint, manifest, file.name); });
    for (std::size_t index = 0; index < manifest.shards.size(); ++index)
      guarded(manifest.shards[index].name, [&] { verify_shard(manifest, static_cast<std::int64_t>(index)); });
    for (const FileEntry& file : manifest.files) report_.bytes += file.bytes;
    for (const ShardEntry& shard : manifest.shards) report_.bytes += shard.bytes;
    return report_;
  }

 private:
  /// Counts a file; a DataError of `work` becomes a damage of it. Whether there was none.
  template <class Work>
  bool guarded(std::string_view file, Work work) {
    ++report_.files;
    try {
      work();
      return true;
    } catch (const DataError& error) {
      report_.damages.push_back({.file = std::string(file), .bytes = {}, .text = error.what(), .parts = {}});
      return false;
    }
  }

  void verify_shard(const Manifest& manifest, std::int64_t index) {
    const ShardEntry& shard = manifest.shards[static_cast<std::size_t>(index)];
    const std::string text = load_text(*files_, report_.checkpoint, manifest, shard.table);
    BlockHashes hashes = parse_shard_table(text, join_path(report_.checkpoint, shard.table)).hashes;
    std::vector<std::byte> staging(kStagingBytes);
    VerifiedFile file(*files_, join_path(report_.checkpoint, shard.name), std::move(hashes), staging);
    for (const ByteRange& range : file.damaged_ranges()) locate(manifest, index, range);
  }

  /// One damage for the range, with all that has elements in it.
  void locate(const Manifest& manifest, std::int64_t shard, const ByteRange& range) {
    const std::string& file = manifest.shards[static_cast<std::size_t>(shard)].name;
    Damage damage{.file = file,
                  .bytes = range,
                  .text = fmt::format("{}/{}: bytes {} to {} are not what was written", report_.checkpoint, file,
                                      range.begin, range.end),
                  .parts = {}};
    for (const StoredTensor& tensor : manifest.tensors)
      for (const StoredRole& role : tensor.roles)
        for (const StoredPiece& piece : role.pieces)
          if (piece.shard == shard) add_part(tensor.name, role, piece, damage);
    report_.damages.push_back(std::move(damage));
  }

  /// Adds the elements of the piece that the damage touches, if there are any.
  static void add_part(const std::string& tensor, const StoredRole& role, const StoredPiece& piece, Damage& damage) {
    const std::int64_t width = bytes_of(role.dtype);
    const std::int64_t begin = std::max(damage.bytes.begin, piece.position);
    const std::int64_t end = std::min(damage.bytes.end, piece.position + piece.count * width);
    if (begin >= end) return;
    damage.parts.push_back({.tensor = tensor,
                            .role = role.role,
                            .first_element = piece.offset + (begin - piece.position) / width,
                            .end_element = piece.offset + ceil_div(end - piece.position, width)});
  }

  FileSystem* files_;
  VerifyReport report_;
};

}  // namespace

VerifyReport verify_checkpoint(FileSystem& files, const std::string& checkpoint) {
  return Verification(files, checkpoint).run();
}

}  // namespace ferula
