// Intersections of needed and stored pieces.
#include "checkpoint/read_plan.hpp"

#include <algorithm>
#include <set>
#include <tuple>

namespace ferula {
namespace {

bool is_read(const OwnedPiece& piece, ReadScope scope) {
  if (piece.data.count() == 0) return false;
  if (scope == ReadScope::everything || piece.role == kValueRole) return true;
  return scope == ReadScope::starting_values && piece.role == kMasterRole;
}

/// What fills the piece; null where there is nothing.
const StoredRole* source_of(const StoredTensor& tensor, const OwnedPiece& piece, ReadScope scope) {
  if (scope != ReadScope::starting_values) return tensor.role(piece.role);
  const StoredRole* master = tensor.role(kMasterRole);
  return piece.data.dtype == DType::f32 && master != nullptr ? master : tensor.role(kValueRole);
}

bool may_become(DType stored, DType wanted, ReadScope scope) {
  const auto is_float = [](DType dtype) { return dtype == DType::f32 || dtype == DType::bf16; };
  return stored == wanted || (scope == ReadScope::starting_values && is_float(stored) && is_float(wanted));
}

/// Why the stored state cannot fill the piece; empty where it can.
std::string mismatch(const Manifest& manifest, const OwnedPiece& piece, ReadScope scope) {
  const StoredTensor* tensor = manifest.tensor(piece.tensor);
  if (tensor == nullptr) return fmt::format("{}: not in the checkpoint", piece.tensor);
  if (tensor->shape != piece.global_shape)
    return fmt::format("{}: the model has [{}], the checkpoint [{}]", piece.tensor, fmt::join(piece.global_shape, ", "),
                       fmt::join(tensor->shape, ", "));
  const StoredRole* role = source_of(*tensor, piece, scope);
  if (role == nullptr) return fmt::format("{}: the checkpoint has no {}", piece.tensor, piece.role);
  if (!may_become(role->dtype, piece.data.dtype, scope))
    return fmt::format("{} ({}): the model has {}, the checkpoint {}", piece.tensor, piece.role,
                       name_of(piece.data.dtype), name_of(role->dtype));
  return {};
}

[[noreturn]] void throw_mismatches(const std::set<std::string>& problems, const std::string& where) {
  constexpr std::size_t kShown = 40;
  std::string text = fmt::format("{}: this checkpoint does not fit the model or its optimizer:", where);
  std::size_t shown = 0;
  for (const std::string& problem : problems) {
    if (shown == kShown) break;
    text += "\n  " + problem;
    ++shown;
  }
  if (shown < problems.size()) text += fmt::format("\n  and {} more", problems.size() - shown);
  throw DataError(text + fmt::format("\nexpected the model and optimizer of {}/{}: use these settings, or give another "
                                     "checkpoint; to train another model choose another run.name",
                                     where, kConfigName));
}

/// Appends the stored ranges that fill [piece.offset, piece.offset + count).
void plan_piece(const StoredTensor& tensor, const StoredRole& role, const OwnedPiece& piece,
                std::vector<PlannedRead>& reads) {
  const std::int64_t begin = piece.offset;
  const std::int64_t end = piece.offset + piece.data.count();
  const std::int64_t width = bytes_of(role.dtype);
  auto stored = std::partition_point(role.pieces.begin(), role.pieces.end(), [&](const StoredPiece& candidate) {
    return candidate.offset + candidate.count <= begin;
  });
  for (; stored != role.pieces.end() && stored->offset < end; ++stored) {
    const std::int64_t from = std::max(begin, stored->offset);
    const std::int64_t until = std::min(end, stored->offset + stored->count);
    reads.push_back({.shard = stored->shard,
                     .position = stored->position + (from - stored->offset) * width,
                     .stored = role.dtype,
                     .target = piece.data.range(from - begin, until - from),
                     .tensor = tensor.name,
                     .role = role.role,
                     .first_element = from});
  }
}

}  // namespace

std::vector<PlannedRead> plan_reads(const Manifest& manifest, std::span<const OwnedPiece> needed, ReadScope scope,
                                    const std::string& where) {
  std::set<std::string> problems;
  std::vector<PlannedRead> reads;
  for (const OwnedPiece& piece : needed) {
    if (!is_read(piece, scope)) continue;
    FERULA_CHECK(piece.offset >= 0 && piece.offset + piece.data.count() <= count_of(piece.global_shape),
                 "elements {} to {} of {}", piece.offset, piece.offset + piece.data.count(), piece.tensor);
    if (std::string problem = mismatch(manifest, piece, scope); !problem.empty()) {
      problems.insert(std::move(problem));
      continue;
    }
    const StoredTensor& tensor = *manifest.tensor(piece.tensor);
    plan_piece(tensor, *source_of(tensor, piece, scope), piece, reads);
  }
  if (!problems.empty()) throw_mismatches(problems, where);
  std::sort(reads.begin(), reads.end(), [](const PlannedRead& a, const PlannedRead& b) {
    return std::tie(a.shard, a.position) < std::tie(b.shard, b.position);
  });
  return reads;
}

}  // namespace ferula
