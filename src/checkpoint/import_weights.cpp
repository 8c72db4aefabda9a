// One shard, written in bounded pieces: read, turn, convert, write.
#include "checkpoint/import_weights.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "checkpoint/assemble.hpp"
#include "checkpoint/shard_writer.hpp"

namespace ferula {
namespace {

constexpr std::int64_t kPieceElements = std::int64_t{1} << 20;
constexpr std::int64_t kBytesBesideShard = 1 << 20;
constexpr std::int64_t kFiles = 8;

/// An IEEE binary16 as a float, exactly.
float from_f16(std::uint16_t bits) {
  const int exponent = (bits >> 10) & 0x1f;
  const int mantissa = bits & 0x3ff;
  const float sign = (bits & 0x8000) != 0 ? -1.0f : 1.0f;
  if (exponent == 0x1f) return mantissa == 0 ? sign * INFINITY : NAN;
  if (exponent == 0) return sign * std::ldexp(static_cast<float>(mantissa), -24);
  return sign * std::ldexp(static_cast<float>(mantissa + 0x400), exponent - 25);
}

/// Element `index` of a tensor's bytes, which need no alignment.
template <class T>
T element(std::span<const std::byte> bytes, std::size_t index) {
  T value;
  std::memcpy(&value, bytes.data() + index * sizeof(T), sizeof(T));
  return value;
}

void widen(std::string_view dtype, std::span<const std::byte> bytes, std::span<float> values) {
  if (dtype == "F32") {
    std::memcpy(values.data(), bytes.data(), bytes.size());
  } else if (dtype == "BF16") {
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(element<bf16>(bytes, i));
  } else {
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = from_f16(element<std::uint16_t>(bytes, i));
  }
}

/// Reads one of our tensors out of theirs and gives it on in pieces.
class TensorReader {
 public:
  TensorReader(const SafetensorsFolder& folder, const TensorFilling& filling)
      : folder_(&folder), filling_(&filling), width_(filling.stored.dtype == "F32" ? 4 : 2) {}

  /// Fills `values` with elements [begin, begin + values.size()) of our tensor, whole rows where it is transposed.
  void read(std::int64_t begin, std::span<float> values) {
    if (filling_->source.order == ElementOrder::same) {
      const std::int64_t inputs = filling_->param.count() / filling_->param.shape.front();
      return read_stored(filling_->source.first_output * inputs + begin, values);
    }
    const std::int64_t inputs = filling_->param.shape.back();
    read_columns(filling_->source.first_output + begin / inputs, std::ssize(values) / inputs, values);
  }

 private:
  void read_stored(std::int64_t begin, std::span<float> values) {
    bytes_.resize(values.size() * static_cast<std::size_t>(width_));
    folder_->read(filling_->stored, begin * width_, bytes_);
    widen(filling_->stored.dtype, bytes_, values);
  }

  /// Columns of their matrix are rows of ours.
  void read_columns(std::int64_t first, std::int64_t count, std::span<float> values) {
    const std::int64_t inputs = filling_->source.shape.front(), outputs = filling_->source.shape.back();
    row_.resize(static_cast<std::size_t>(count));
    for (std::int64_t input = 0; input < inputs; ++input) {
      read_stored(input * outputs + first, row_);
      for (std::int64_t output = 0; output < count; ++output)
        values[static_cast<std::size_t>(output * inputs + input)] = row_[static_cast<std::size_t>(output)];
    }
  }

  const SafetensorsFolder* folder_;
  const TensorFilling* filling_;
  std::int64_t width_;
  std::vector<std::byte> bytes_;
  std::vector<float> row_;
};

/// Elements of a piece: whole rows where the tensor is transposed.
std::int64_t piece_elements(const TensorFilling& filling) {
  if (filling.source.order == ElementOrder::same) return kPieceElements;
  const std::int64_t inputs = filling.param.shape.back();
  return std::max<std::int64_t>(1, kPieceElements / inputs) * inputs;
}

void require_finite(const std::string& where, std::int64_t begin, std::span<const float> values) {
  const auto found = std::find_if(values.begin(), values.end(), [](float value) { return !std::isfinite(value); });
  if (found != values.end())
    throw DataError(
        fmt::format("{}: expected finite values, found {} for element {} of its part; this model is damaged "
                    "or has diverged: download it again, or take another",
                    where, *found, begin + (found - values.begin())));
}

void write_tensor(const SafetensorsFolder& folder, const TensorFilling& filling, DType dtype, File& file,
                  std::int64_t position) {
  TensorReader reader(folder, filling);
  const std::int64_t all = filling.param.count(), most = piece_elements(filling);
  std::vector<float> values;
  std::vector<bf16> narrow;
  for (std::int64_t begin = 0; begin < all; begin += most) {
    values.resize(static_cast<std::size_t>(std::min(most, all - begin)));
    reader.read(begin, values);
    require_finite(folder.where(filling.source.name), begin, values);
    if (dtype == DType::f32) {
      file.write_at(position + begin * bytes_of(dtype), std::as_bytes(std::span(values)));
      continue;
    }
    narrow.resize(values.size());
    std::transform(values.begin(), values.end(), narrow.begin(), [](float value) { return bf16(value); });
    file.write_at(position + begin * bytes_of(dtype), std::as_bytes(std::span(narrow)));
  }
}

std::vector<OwnedPiece> pieces_of(const std::vector<TensorFilling>& fillings, DType dtype) {
  std::vector<OwnedPiece> pieces;
  for (const TensorFilling& filling : fillings)
    pieces.push_back({.tensor = filling.param.name,
                      .global_shape = filling.param.shape,
                      .role = "value",
                      .offset = 0,
                      .data = TensorView(nullptr, dtype, {filling.param.count()})});
  return pieces;
}

void write_shard_of(FileSystem& files, Device& device, const SafetensorsFolder& folder, const std::string& directory,
                    const std::vector<TensorFilling>& fillings, DType dtype) {
  std::vector<ShardPiece> laid_out = lay_out_shard(directory, 0, pieces_of(fillings, dtype));
  const std::unique_ptr<File> file = files.open(join_path(directory, shard_name(0)), OpenMode::update);
  for (std::size_t index = 0; index < fillings.size(); ++index)
    write_tensor(folder, fillings[index], dtype, *file, laid_out[index].place.position);
  const Buffer staging = device.allocate_shared(kShardStagingBytes, MemoryKind::buffers);
  const std::unique_ptr<Stream> disk = device.make_side_stream("disk");
  seal_shard(files, directory, 0, *file, *disk, {staging.data(), static_cast<std::size_t>(staging.bytes())},
             std::move(laid_out));
}

void require_room(FileSystem& files, const std::string& parent, const std::vector<TensorFilling>& fillings,
                  DType dtype) {
  std::int64_t needed = kBytesBesideShard;
  for (const TensorFilling& filling : fillings) needed += filling.param.count() * bytes_of(dtype);
  const FreeSpace free = files.free_space(parent);
  if (free.bytes < needed || free.files < kFiles)
    throw CapacityError(
        fmt::format("{}: expected room for {} bytes in {} files, found {} bytes and {} files; free "
                    "space, write elsewhere, or import with --dtype bf16",
                    parent, needed, kFiles, free.bytes, free.files));
}

/// Two imports to one place would write into each other's folder.
std::unique_ptr<FileLock> lock_target(FileSystem& files, const std::string& target) {
  LockAttempt attempt = files.try_lock(target + ".importing.lock", "");
  if (attempt.state == LockAttempt::State::busy)
    throw DataError(fmt::format("{}: another import writes to it; wait for it, or choose another folder", target));
  return std::move(attempt.lock);
}

}  // namespace

DType exact_dtype(const std::vector<TensorFilling>& fillings) {
  const bool all_narrow = std::all_of(fillings.begin(), fillings.end(),
                                      [](const TensorFilling& filling) { return filling.stored.dtype == "BF16"; });
  return all_narrow ? DType::bf16 : DType::f32;
}

void import_weights(FileSystem& files, Device& device, const SafetensorsFolder& folder,
                    const std::vector<TensorFilling>& fillings, const ImportRequest& request) {
  const std::string parent = parent_of(request.target);
  files.make_directory(parent);
  const std::unique_ptr<FileLock> lock = lock_target(files, request.target);
  if (files.exists(request.target))
    throw DataError(fmt::format("{}: expected a new folder, found something of this name; remove it or choose another",
                                request.target));
  const std::string importing = request.target + ".importing";
  files.remove(importing);
  require_room(files, parent, fillings, request.dtype);
  try {
    files.make_directory(importing);
    write_shard_of(files, device, folder, importing, fillings, request.dtype);
    assemble_checkpoint(files, importing, 1, request.save);
    files.rename(importing, request.target, Replace::never);
  } catch (...) {
    outcome_of([&] { files.remove(importing); });  // the next import removes what cannot be removed now
    throw;
  }
  files.sync_directory(parent);
}

}  // namespace ferula
