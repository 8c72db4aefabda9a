#include "comm/communicator.hpp"

namespace ferula {
namespace {

double agree(Communicator& group, Stream& stream, double value, ReduceOp op) {
  const TensorView scalar(reinterpret_cast<std::byte*>(&value), DType::f64, {1});
  group.all_reduce(stream, scalar, op);
  stream.synchronize();
  return value;
}

}  // namespace

double agree_sum(Communicator& group, Stream& stream, double value) {
  return agree(group, stream, value, ReduceOp::sum);
}

double agree_max(Communicator& group, Stream& stream, double value) {
  return agree(group, stream, value, ReduceOp::max);
}

Buffer Communicator::allocate_common(std::int64_t, MemoryKind) {
  throw CommError(fmt::format("the ranks of a group of kind {} have no memory in common", kind()));
}

void barrier(Communicator& group, Stream& stream) { agree(group, stream, 0.0, ReduceOp::max); }

}  // namespace ferula
