// metrics.jsonl on disks that fill up.
#include "train/metrics_log.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "support/passing_file_system.hpp"
#include "support/scratch_directory.hpp"

namespace ferula {
namespace {

/// A file on a disk that takes as many bytes as are left, and refuses the rest of a write.
class FillingFile final : public File {
 public:
  FillingFile(std::unique_ptr<File> real, std::size_t& left) : real_(std::move(real)), left_(&left) {}
  const std::string& path() const override { return real_->path(); }
  std::int64_t bytes() override { return real_->bytes(); }
  void read_at(std::int64_t position, std::span<std::byte> target) override { real_->read_at(position, target); }
  void write_at(std::int64_t position, std::span<const std::byte> source) override {
    real_->write_at(position, source.first(std::min(*left_, source.size())));
    if (*left_ < source.size()) throw CapacityError("the disk is full");
    *left_ -= source.size();
  }
  void sync() override { real_->sync(); }

 private:
  std::unique_ptr<File> real_;
  std::size_t* left_;
};

class FillingFileSystem final : public PassingFileSystem {
 public:
  using PassingFileSystem::PassingFileSystem;
  std::unique_ptr<File> open(const std::string& path, OpenMode mode) override {
    return std::make_unique<FillingFile>(PassingFileSystem::open(path, mode), left);
  }
  std::size_t left = 1 << 20;
};

StepMetrics metrics_of(std::int64_t step, double loss) {
  return {.step = {.step = step, .loss = loss, .seconds = 1.0, .tokens = 8}, .tokens_seen = 8 * step};
}

std::vector<std::string> lines_of(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line.substr(0, line.find_last_not_of(' ') + 1));
  return lines;
}

TEST(MetricsLog, AFullDiskCostsTheLinesThatDoNotFitAndNoOthers) {
  const ScratchDirectory scratch;
  const std::filesystem::path path = scratch.path("metrics.jsonl");
  const std::unique_ptr<FileSystem> real = make_posix_file_system();
  FillingFileSystem files(*real);
  MetricsLog log(files, path, 0);
  log.append(metrics_of(1, 5.5));
  files.left = 60;
  EXPECT_FALSE(log.append(metrics_of(2, 5.123456789)));  // cut amid its numbers
  log.append(metrics_of(3, 5.123456789));
  files.left = 1 << 20;
  EXPECT_TRUE(log.append(metrics_of(4, 5.25)));  // shorter than what was cut
  log.append(metrics_of(5, 5.125));

  const std::vector<std::string> expected{metrics_line(metrics_of(1, 5.5)), metrics_line(metrics_of(4, 5.25)),
                                          metrics_line(metrics_of(5, 5.125))};
  EXPECT_EQ(lines_of(path), expected);
  const MetricsLog resumed(files, path, 4);
  EXPECT_EQ(lines_of(path), std::vector<std::string>(expected.begin(), expected.begin() + 2));
}

TEST(MetricsLog, GoesOnAtTheEndOfAFileThatSomebodyHasEmptied) {
  const ScratchDirectory scratch;
  const std::filesystem::path path = scratch.path("metrics.jsonl");
  const std::unique_ptr<FileSystem> real = make_posix_file_system();
  MetricsLog log(*real, path, 0);
  log.append(metrics_of(1, 5.5));
  std::filesystem::resize_file(path, 0);

  EXPECT_TRUE(log.append(metrics_of(2, 5.25)));

  EXPECT_EQ(lines_of(path), std::vector<std::string>{metrics_line(metrics_of(2, 5.25))});
}

TEST(MetricsLog, GoingBackKeepsACopyOfLaterLinesAlone) {
  const ScratchDirectory scratch;
  const std::filesystem::path path = scratch.path("metrics.jsonl");
  const std::unique_ptr<FileSystem> real = make_posix_file_system();
  MetricsLog log(*real, path, 0);
  for (const std::int64_t step : {1, 2, 3}) log.append(metrics_of(step, 5.5));

  EXPECT_EQ(keep_later_lines(*real, path, 3), "");
  const std::string first = keep_later_lines(*real, path, 1), second = keep_later_lines(*real, path, 2);

  EXPECT_EQ(first, scratch.path("metrics-abandoned-1.jsonl"));
  EXPECT_EQ(second, scratch.path("metrics-abandoned-2.jsonl"));
  EXPECT_EQ(lines_of(first), lines_of(path));
}

TEST(MetricsLog, AResumeDropsLinesThatAreTornOrGrownTogether) {
  const ScratchDirectory scratch;
  const std::filesystem::path path = scratch.path("metrics.jsonl");
  const std::string good = metrics_line(metrics_of(1, 5.5));
  std::ofstream(path) << good << "\n" << good.substr(0, 40) << good << "\n" << good.substr(0, 30);
  const std::unique_ptr<FileSystem> real = make_posix_file_system();

  const MetricsLog resumed(*real, path, 9);

  EXPECT_EQ(lines_of(path), std::vector<std::string>{good});
}

}  // namespace
}  // namespace ferula
