// What is built from the primitive operations of a file system.
#include "storage/file_system.hpp"

namespace ferula {

void File::start_read(Stream& stream, std::int64_t position, std::span<std::byte> target) {
  stream.run([this, position, target] { read_at(position, target); });
}

void File::start_write(Stream& stream, std::int64_t position, std::span<const std::byte> source) {
  stream.run([this, position, source] { write_at(position, source); });
}

void File::start_sync(Stream& stream) {
  stream.run([this] { sync(); });
}

std::string join_path(std::string_view directory, std::string_view name) {
  return directory.ends_with('/') ? fmt::format("{}{}", directory, name) : fmt::format("{}/{}", directory, name);
}

std::string parent_of(const std::string& path) {
  const std::size_t slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

void write_file_atomically(FileSystem& files, const std::string& path, std::string_view text, Replace replace) {
  const std::string temporary = path + ".unfinished";
  files.remove(temporary);
  const std::unique_ptr<File> file = files.open(temporary, OpenMode::create);
  file->write_at(0, bytes_of_text(text));
  file->sync();
  files.rename(temporary, path, replace);
  files.sync_directory(parent_of(path));
}

std::string read_file(FileSystem& files, const std::string& path, std::int64_t limit_bytes) {
  const std::unique_ptr<File> file = files.open(path, OpenMode::read);
  const std::int64_t bytes = file->bytes();
  if (bytes > limit_bytes)
    throw DataError(fmt::format("{}: expected at most {} bytes, found {}", path, limit_bytes, bytes));
  std::string text(static_cast<std::size_t>(bytes), '\0');
  file->read_at(0, std::as_writable_bytes(std::span(text)));
  return text;
}

}  // namespace ferula
