// What a writer says of its shard file: the hash of every block, and which pieces lie where.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/manifest.hpp"

namespace ferula {

/// A piece in a shard file, with what is needed to find its tensor.
struct ShardPiece {
  std::string tensor;
  Shape shape;  // of the whole tensor
  std::string role;
  DType dtype = DType::f32;
  StoredPiece place;
};

struct ShardTable {
  std::vector<ShardPiece> pieces;
  BlockHashes hashes;
};

/// shard-00003.h5
std::string shard_name(int writer);
/// shard-00003.json
std::string table_name(int writer);

std::string shard_table_text(const ShardTable& table);
/// Throws DataError that names `where`. The text is to be verified by the caller.
ShardTable parse_shard_table(std::string_view text, const std::string& where);

}  // namespace ferula
