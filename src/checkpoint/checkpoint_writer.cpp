// The order of a save: space, shards, manifest, rename. Each phase ends with an agreement of all ranks.
#include "checkpoint/checkpoint_writer.hpp"

#include "checkpoint/assemble.hpp"
#include "checkpoint/checkpoint_folder.hpp"
#include "checkpoint/names.hpp"
#include "checkpoint/set_aside.hpp"
#include "checkpoint/shard_writer.hpp"
#include "checkpoint/verify.hpp"

namespace ferula {
namespace {

constexpr std::int64_t kFilesBesideShards = 8;
constexpr std::int64_t kBytesBesideShards = 1 << 20;

std::int64_t bytes_of_pieces(std::span<const OwnedPiece> pieces) {
  std::int64_t bytes = 0;
  for (const OwnedPiece& piece : pieces) bytes += piece.data.bytes();
  return bytes;
}

}  // namespace

FreeSpace room_for_checkpoint(std::int64_t bytes, int writers) {
  return {.bytes = bytes + bytes / 100 + writers * kBytesBesideShards, .files = 2 * writers + kFilesBesideShards};
}

std::int64_t checkpoint_staging_bytes() { return kShardStagingBytes; }

void CheckpointWriter::start() {
  require(together([&] {
    if (leads()) remove_leftovers(*files_, folder_);
  }));
}

SaveResult CheckpointWriter::save(std::span<const OwnedPiece> pieces, const SaveRequest& request) {
  const double bytes = agree_sum(*world_, *stream_, static_cast<double>(bytes_of_pieces(pieces)));
  const double id = agree_sum(*world_, *stream_, leads() ? static_cast<double>(random_id()) : 0.0);
  const std::string saving = join_path(folder_, saving_name(request.state.step, static_cast<std::uint32_t>(id)));
  SaveResult result{.committed = false,
                    .checkpoint = join_path(folder_, step_name(request.state.step)),
                    .problem = {},
                    .bytes = static_cast<std::int64_t>(bytes)};
  Outcome outcome = together([&] { prepare(saving, request.state.step, result.bytes); });
  if (outcome.good()) outcome = together([&] { write_own_shard(saving, pieces); });
  if (outcome.good()) outcome = together([&] { commit(saving, result.checkpoint, request); });
  result.committed = outcome.good();
  result.problem = outcome.problem;
  if (!result.committed) {
    // The save has failed already; what cannot be removed now is removed by the next run.
    together([&] {
      if (leads()) files_->remove(saving);
    });
    return result;
  }
  result.problem = together([&] { finish(request.state.step); }).problem;
  return result;
}

void CheckpointWriter::prepare(const std::string& saving, std::int64_t step, std::int64_t bytes) {
  if (!leads()) return;
  if (!files_->exists(folder_)) {
    files_->make_directory(folder_);
    files_->sync_directory(parent_of(folder_));
  }
  if (files_->exists(join_path(folder_, step_name(step)))) make_room_for(step);
  const FreeSpace needed = room_for_checkpoint(bytes, world_->size());
  const FreeSpace free = files_->free_space(folder_);
  if (free.bytes < needed.bytes || free.files < needed.files)
    throw CapacityError(
        fmt::format("{}: expected room for {} bytes in {} files, found {} bytes and {} files; free "
                    "space, or lower [checkpoint] keep_last",
                    folder_, needed.bytes, needed.files, free.bytes, free.files));
  files_->make_directory(saving);
}

/// A damaged checkpoint of this step steps aside; a good one stays, and the save is refused.
void CheckpointWriter::make_room_for(std::int64_t step) {
  const std::string target = join_path(folder_, step_name(step));
  if (verify_checkpoint(*files_, target).good())
    throw DataError(fmt::format("{}: a good checkpoint of this step exists, and is never replaced", target));
  set_aside(*files_, folder_, step, kDamagedPrefix);
}

void CheckpointWriter::write_own_shard(const std::string& saving, std::span<const OwnedPiece> pieces) {
  write_shard(*files_, *device_, saving, world_->rank(), pieces);
}

void CheckpointWriter::commit(const std::string& saving, const std::string& target, const SaveRequest& request) {
  if (!leads()) return;
  assemble_checkpoint(*files_, saving, world_->size(), request);
  files_->rename(saving, target, Replace::never);
}

/// The checkpoint is there. Old ones go only when its name is known to be on the disk.
void CheckpointWriter::finish(std::int64_t step) {
  if (!leads()) return;
  files_->sync_directory(folder_);
  write_latest(*files_, folder_, step);
  apply_retention(*files_, folder_, retention_, step);
}

}  // namespace ferula
