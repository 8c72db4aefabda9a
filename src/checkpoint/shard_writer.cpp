// HDF5 lays the file out (early allocation gives each dataset its place); the data then goes through the file system,
// so that every byte can be counted, checked and made to fail in one place.
#include "checkpoint/shard_writer.hpp"

#include <algorithm>
#include <array>

#include "checkpoint/names.hpp"
#include "storage/hdf5_file.hpp"

namespace ferula {
namespace {

std::span<const std::byte> bytes_of_view(const TensorView& view) {
  return {view.data, static_cast<std::size_t>(view.bytes())};
}

/// Writes tensors that the host cannot read: one half of `staging` fills from the device while the disk writes the
/// other.
class DeviceTensorWriter {
 public:
  DeviceTensorWriter(Device& device, File& file, Stream& disk, const Buffer& staging)
      : device_(&device), file_(&file), disk_(&disk), copies_(device.make_stream()), half_(staging.bytes() / 2) {
    halves_ = {Half{.memory = staging.data()}, Half{.memory = staging.data() + half_}};
  }

  void start_write(std::int64_t position, const TensorView& data) {
    for (std::int64_t begin = 0; begin < data.bytes(); begin += half_) {
      const std::int64_t length = std::min(half_, data.bytes() - begin);
      Half& half = halves_[next_++ % halves_.size()];
      disk_->synchronize(half.written.ticket);
      device_->copy(*copies_, data.data + begin, half.memory, length);
      copies_->synchronize();
      file_->start_write(*disk_, position + begin, {half.memory, static_cast<std::size_t>(length)});
      half.written = disk_->record();
    }
  }

 private:
  struct Half {
    std::byte* memory = nullptr;
    Event written{};
  };

  Device* device_;
  File* file_;
  Stream* disk_;
  std::unique_ptr<Stream> copies_;
  std::int64_t half_;
  std::array<Half, 2> halves_{};
  std::size_t next_ = 0;
};

}  // namespace

std::vector<ShardPiece> lay_out_shard(const std::string& directory, int writer, std::span<const OwnedPiece> pieces) {
  Hdf5File file = Hdf5File::create(join_path(directory, shard_name(writer)));
  std::vector<ShardPiece> laid_out;
  for (const OwnedPiece& piece : pieces) {
    FERULA_CHECK(piece.data.rank == 1, "{} ({}) is given with {} dimensions", piece.tensor, piece.role,
                 piece.data.rank);
    const std::int64_t count = piece.data.count();
    std::string name = dataset_name(piece.role, piece.tensor);
    if (file.has(name)) name += fmt::format("@{}", piece.offset);
    const Hdf5Dataset dataset = file.create_dataset(name, piece.data.dtype, std::array{count}, Hdf5Allocation::early);
    file.write_attribute(name, "offset", piece.offset);
    file.write_attribute(name, "count", count);
    file.write_attribute(name, "global_shape", piece.global_shape);
    const std::optional<std::int64_t> position = dataset.byte_position();
    FERULA_CHECK(position.has_value(), "{} has no place", dataset.where());
    laid_out.push_back(
        {.tensor = piece.tensor,
         .shape = piece.global_shape,
         .role = piece.role,
         .dtype = piece.data.dtype,
         .place = {.shard = writer, .offset = piece.offset, .count = count, .position = *position, .dataset = name}});
  }
  file.close();
  return laid_out;
}

void seal_shard(FileSystem& files, const std::string& directory, int writer, File& file, Stream& disk,
                std::span<std::byte> staging, std::vector<ShardPiece> pieces) {
  file.start_sync(disk);
  disk.synchronize();
  const ShardTable table{.pieces = std::move(pieces), .hashes = hash_blocks(file, disk, staging)};
  write_file_atomically(files, join_path(directory, table_name(writer)), shard_table_text(table), Replace::never);
}

void write_shard(FileSystem& files, Device& device, const std::string& directory, int writer,
                 std::span<const OwnedPiece> pieces) {
  std::vector<OwnedPiece> filled;
  std::copy_if(pieces.begin(), pieces.end(), std::back_inserter(filled),
               [](const OwnedPiece& piece) { return piece.data.count() > 0; });
  std::vector<ShardPiece> laid_out = lay_out_shard(directory, writer, filled);
  const Buffer staging = device.allocate_shared(kShardStagingBytes, MemoryKind::buffers);
  const std::unique_ptr<File> file = files.open(join_path(directory, shard_name(writer)), OpenMode::update);
  const std::unique_ptr<Stream> disk = device.make_side_stream("disk");  // ends before what its tasks use
  DeviceTensorWriter from_device(device, *file, *disk, staging);
  for (std::size_t index = 0; index < filled.size(); ++index) {
    const std::int64_t position = laid_out[index].place.position;
    if (device.kind() == DeviceKind::cpu)
      file->start_write(*disk, position, bytes_of_view(filled[index].data));
    else
      from_device.start_write(position, filled[index].data);
  }
  seal_shard(files, directory, writer, *file, *disk, {staging.data(), static_cast<std::size_t>(staging.bytes())},
             std::move(laid_out));
}

}  // namespace ferula
