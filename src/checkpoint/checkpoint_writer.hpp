// Saves the state of all ranks as one checkpoint, or leaves everything as it was.
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "checkpoint/agreement.hpp"
#include "checkpoint/manifest.hpp"
#include "checkpoint/retention.hpp"
#include "comm/communicator.hpp"
#include "device/device.hpp"
#include "params/parameter_store.hpp"
#include "storage/file_system.hpp"

namespace ferula {

/// A tensor that has no memory of its own.
struct TiedTensor {
  std::string alias;
  std::string tensor;
};

/// What goes into a checkpoint beside the pieces; the same on every rank.
struct SaveRequest {
  TrainingState state;
  std::string config_text;  // the resolved configuration of the run, TOML
  std::vector<TiedTensor> tied;
};

struct SaveResult {
  bool committed = false;
  std::string checkpoint;  // its folder
  std::string problem;     // why it was abandoned, or what failed after it was safe; empty where all went well
  std::int64_t bytes = 0;  // of all tensors
};

/// What the file system must have left for a checkpoint of `bytes` in tensors that `writers` ranks save: with hashes,
/// HDF5's own structures and the manifest.
FreeSpace room_for_checkpoint(std::int64_t bytes, int writers);

/// Bytes of buffers that a rank takes while it saves.
std::int64_t checkpoint_staging_bytes();

/// One a rank; all calls are collective over `world`. Everything given to it must outlive it.
class CheckpointWriter {
 public:
  /// `folder`: RUN/checkpoints, on a file system that all ranks share; made when it is needed.
  CheckpointWriter(std::string folder, Retention retention, FileSystem& files, Communicator& world, Device& device,
                   Stream& stream)
      : folder_(std::move(folder)),
        retention_(retention),
        files_(&files),
        world_(&world),
        device_(&device),
        stream_(&stream) {}

  /// Removes what saves that died have left. Once, before the first save.
  void start();
  /// Every rank gives the pieces that it owns, also none; together they hold each element once. An error of any rank
  /// abandons the save on all and keeps every earlier checkpoint; the result, the same on all ranks, says why.
  /// Does not throw but for CommError. A good checkpoint of the same step is never replaced; a damaged one is renamed
  /// to damaged-step-…. Cost: writes and reads back each piece once, 1 MiB of buffers, no copy of the state.
  SaveResult save(std::span<const OwnedPiece> pieces, const SaveRequest& request);

 private:
  bool leads() const { return world_->rank() == 0; }
  /// `work` on every rank, then one outcome for all.
  Outcome together(const std::function<void()>& work) { return agree(*world_, *stream_, outcome_of(work)); }
  void prepare(const std::string& saving, std::int64_t step, std::int64_t bytes);
  void make_room_for(std::int64_t step);
  void write_own_shard(const std::string& saving, std::span<const OwnedPiece> pieces);
  void commit(const std::string& saving, const std::string& target, const SaveRequest& request);
  void finish(std::int64_t step);

  std::string folder_;
  Retention retention_;
  FileSystem* files_;
  Communicator* world_;
  Device* device_;
  Stream* stream_;
};

}  // namespace ferula
