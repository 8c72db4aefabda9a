// Virtual datasets over the pieces of a manifest.
#include "checkpoint/index_file.hpp"

#include "checkpoint/names.hpp"
#include "storage/hdf5_file.hpp"

namespace ferula {
namespace {

std::vector<VirtualRange> ranges_of(const Manifest& manifest, const StoredRole& role) {
  std::vector<VirtualRange> ranges;
  for (const StoredPiece& piece : role.pieces)
    ranges.push_back({.file = manifest.shards[static_cast<std::size_t>(piece.shard)].name,
                      .dataset = piece.dataset,
                      .offset = piece.offset,
                      .count = piece.count});
  return ranges;
}

}  // namespace

void write_index(const std::string& directory, const Manifest& manifest) {
  Hdf5File file = Hdf5File::create(join_path(directory, kIndexName));
  file.write_attribute("/", "format", "ferula checkpoint");
  file.write_attribute("/", "step", manifest.state.step);
  for (const StoredTensor& tensor : manifest.tensors)
    for (const StoredRole& role : tensor.roles) {
      const std::string name = dataset_name(role.role, tensor.name);
      file.create_virtual_dataset(name, role.dtype, tensor.shape, ranges_of(manifest, role));
      file.write_attribute(name, "tensor", tensor.name);
      for (const std::string& alias : tensor.aliases) file.create_link(dataset_name(role.role, alias), name);
      if (!tensor.aliases.empty())
        file.write_attribute(name, "aliases", fmt::format("{}", fmt::join(tensor.aliases, " ")));
    }
  file.close();
}

}  // namespace ferula
