// A file system that fails on purpose.
#include "faulty_file_system.hpp"

namespace ferula {
namespace {

class FaultyFile final : public File {
 public:
  FaultyFile(FaultyFileSystem& system, std::unique_ptr<File> real) : system_(&system), real_(std::move(real)) {}
  const std::string& path() const override { return real_->path(); }
  std::int64_t bytes() override { return system_->pass(path()), real_->bytes(); }
  void read_at(std::int64_t position, std::span<std::byte> target) override {
    system_->pass(path()), real_->read_at(position, target);
  }
  /// A write that fails has written its first half.
  void write_at(std::int64_t position, std::span<const std::byte> source) override {
    try {
      system_->pass(path());
    } catch (const DeviceError&) {
      real_->write_at(position, source.first(source.size() / 2));
      throw;
    }
    real_->write_at(position, source);
  }
  void sync() override { system_->pass(path()); }

 private:
  FaultyFileSystem* system_;
  std::unique_ptr<File> real_;
};

}  // namespace

void FaultyFileSystem::pass(const std::string& path) {
  const std::int64_t number = next_++;
  const bool now = at_ >= 0 && (number == at_ || (fault_ == Fault::death && number > at_));
  if (!now) return;
  failed_ = true;
  throw DeviceError(fmt::format("{}: planted fault in operation {}", path, number));
}

std::unique_ptr<File> FaultyFileSystem::open(const std::string& path, OpenMode mode) {
  pass(path);
  return std::make_unique<FaultyFile>(*this, real_->open(path, mode));
}

}  // namespace ferula
