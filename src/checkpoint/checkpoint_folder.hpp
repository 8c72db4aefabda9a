// A folder of checkpoints: which there are, whether they look whole, and which one the user means.
#pragma once

#include <string>
#include <vector>

#include "checkpoint/manifest.hpp"

namespace ferula {

/// Reads and verifies the manifest of a checkpoint. Cost: one small file.
Manifest load_manifest(FileSystem& files, const std::string& checkpoint);
/// Throws DamageError that names the first file that is missing or has another size. Cost: opens every file.
void check_sizes(FileSystem& files, const std::string& checkpoint, const Manifest& manifest);
/// The manifest of a checkpoint that looks whole: file sizes and configuration are good, too. Else throws DamageError;
/// DataError where it is of another kind or version. The data is verified when it is read.
Manifest load_whole_manifest(FileSystem& files, const std::string& checkpoint);
/// The content of one of the manifest's small files, verified.
std::string load_text(FileSystem& files, const std::string& checkpoint, const Manifest& manifest,
                      std::string_view name);

/// Steps that have a checkpoint, good or not, in ascending order.
std::vector<std::int64_t> steps_in(FileSystem& files, const std::string& folder);
/// The newest step of which the checkpoint looks whole (load_whole_manifest). DeviceError where one may not be read.
std::optional<std::int64_t> newest_good_step(FileSystem& files, const std::string& folder);
/// The folder of checkpoints that `path` means, a run or its checkpoints folder; nothing where it is a checkpoint
/// itself. DataError where it is neither; a file instead of a folder gets an explanation.
std::optional<std::string> folder_of_checkpoints(FileSystem& files, const std::string& path);
/// A checkpoint that is no choice because it is damaged, and how.
struct DamagedCheckpoint {
  std::string checkpoint;
  std::string problem;
};
struct FoundCheckpoint {
  std::string checkpoint;
  std::vector<DamagedCheckpoint> passed_over;  // newer ones, the newest first
};
/// The checkpoint that `path` means: a checkpoint itself, or the newest one of such a folder that looks whole; else
/// DataError. DeviceError where one may not be read.
FoundCheckpoint find_newest_good(FileSystem& files, const std::string& path);
/// The same where nobody asks what was passed over, or whoever loads it says so.
std::string find_checkpoint(FileSystem& files, const std::string& path);

}  // namespace ferula
