// Saving and loading the fake state on simulated ranks.
#pragma once

#include <functional>
#include <string>

#include "checkpoint/checkpoint_writer.hpp"
#include "checkpoint/resume.hpp"
#include "fake_state.hpp"
#include "faulty_file_system.hpp"
#include "support/scratch_directory.hpp"

namespace ferula {

/// What a simulated rank has.
struct FakeRank {
  int rank = 0;
  MemoryLedger& ledger;
  Device& device;
  Communicator& world;
  Stream& stream;
};

void run_fake_ranks(int ranks, const std::function<void(FakeRank&)>& body);

/// The file system of each rank.
using FileSystemOf = std::function<FileSystem&(int rank)>;

/// A run's folder of checkpoints in a scratch directory.
class CheckpointRun {
 public:
  FileSystem& files() { return files_; }
  std::string folder() const { return scratch_.path("checkpoints"); }
  std::string checkpoint(std::int64_t step) const;
  std::vector<std::string> names() { return files_.list(folder()); }

  /// Saves on `cut.size()` ranks; the result of rank 0, after checking that all ranks have the same.
  SaveResult save(const Cut& cut, std::int64_t step, Retention retention = {}, FileSystemOf files = {});
  /// Loads the newest good checkpoint on `cut.size()` ranks and expects the bits of its step everywhere.
  /// The result of rank 0.
  std::optional<LoadedCheckpoint> load_newest(const Cut& cut);

  static SaveRequest request(std::int64_t step);

 private:
  ScratchDirectory scratch_;
  std::unique_ptr<FileSystem> posix_ = make_posix_file_system();
  FaultyFileSystem files_{*posix_, -1, Fault::one_error};
};

}  // namespace ferula
