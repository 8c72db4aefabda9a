// The home of oneDNN: products, packing and the primitives that are kept for them.
#include "ops/cpu/matmul.hpp"

#include <omp.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <oneapi/dnnl/dnnl.hpp>
#include <optional>
#include <unordered_map>

#include "base/narrow.hpp"

namespace ferula::cpu {
namespace {

using dnnl::memory;

constexpr std::int64_t kTypicalRows = 256;     // for which a packed layout is chosen; it serves any number of rows
constexpr std::size_t kMostPrimitives = 2048;  // generation sees many row counts: start over rather than grow for ever

memory::data_type type_of(DType dtype) {
  FERULA_CHECK(dtype == DType::f32 || dtype == DType::bf16, "no products of {}", name_of(dtype));
  return dtype == DType::f32 ? memory::data_type::f32 : memory::data_type::bf16;
}

memory::desc desc_of(const TensorView& view) {
  return {{view.dim(0), view.dim(1)}, type_of(view.dtype), memory::dims{view.stride(0), view.stride(1)}};
}

/// What a primitive depends on: m, k, n, types, strides, fused steps and the number of threads it was made for.
using ShapeKey = std::array<std::int64_t, 14>;

/// A primitive with memory objects that are pointed at the operands of each call.
struct Product {
  dnnl::matmul primitive;
  std::int64_t scratch_bytes = 0;
  std::unordered_map<int, memory> arguments;
};

struct Reorder {
  dnnl::reorder primitive;
  memory from, to;
};

std::int64_t code(DType dtype) { return static_cast<std::int64_t>(dtype); }

}  // namespace

class Matmul::Implementation {
 public:
  explicit Implementation(Device& device) : device_(&device) {}

  /// `b` gives the right factor's layout, `b_data` its elements.
  void multiply(const TensorView& a, const memory::desc& b, const ShapeKey& key, std::byte* b_data,
                const TensorView& bias, const TensorView& c, Accumulate accumulate) {
    auto found = products_.find(key);
    if (found == products_.end()) {
      if (products_.size() >= kMostPrimitives) products_.clear();
      found = products_.emplace(key, make_product(a, b, bias, c, accumulate)).first;
    }
    Product& product = found->second;
    if (scratch_.bytes() < product.scratch_bytes) {
      scratch_.reset();
      scratch_ = device_->allocate(product.scratch_bytes, MemoryKind::buffers);
    }
    product.arguments.at(DNNL_ARG_SRC).set_data_handle(a.data);
    product.arguments.at(DNNL_ARG_WEIGHTS).set_data_handle(b_data);
    product.arguments.at(DNNL_ARG_DST).set_data_handle(c.data);
    product.arguments.at(DNNL_ARG_SCRATCHPAD).set_data_handle(scratch_.data());
    if (!bias.empty()) product.arguments.at(DNNL_ARG_BIAS).set_data_handle(bias.data);
    product.primitive.execute(stream_, product.arguments);
    stream_.wait();
  }

  const memory::desc& packed_layout(std::int64_t k, std::int64_t n, DType dtype) {
    const std::array<std::int64_t, 3> key{k, n, code(dtype)};
    const auto found = layouts_.find(key);
    if (found != layouts_.end()) return found->second;
    const auto type = type_of(dtype);
    const memory::desc a({kTypicalRows, k}, type, memory::format_tag::ab);
    const memory::desc b({k, n}, type, memory::format_tag::any);
    const memory::desc c({kTypicalRows, n}, type, memory::format_tag::ab);
    const dnnl::matmul::primitive_desc plan(dnnl::matmul::desc(a, b, c), dnnl::primitive_attr(), engine_);
    return layouts_.emplace(key, plan.weights_desc()).first->second;
  }

  void pack(const TensorView& from, const PackedMatrix& to) {
    const ShapeKey key{to.k,           to.n,           code(from.dtype),     from.stride(0),
                       from.stride(1), code(to.dtype), omp_get_max_threads()};
    auto found = reorders_.find(key);
    if (found == reorders_.end()) {
      if (reorders_.size() >= kMostPrimitives) reorders_.clear();
      memory source(desc_of(from), engine_, DNNL_MEMORY_NONE);
      memory target(packed_layout(to.k, to.n, to.dtype), engine_, DNNL_MEMORY_NONE);
      found = reorders_.emplace(key, Reorder{dnnl::reorder(source, target), source, target}).first;
    }
    Reorder& reorder = found->second;
    FERULA_CHECK(narrow<std::int64_t>(reorder.to.get_desc().get_size()) <= to.memory.bytes(), "{} bytes for [{}, {}]",
                 to.memory.bytes(), to.k, to.n);
    reorder.from.set_data_handle(from.data);
    reorder.to.set_data_handle(to.memory.data);
    reorder.primitive.execute(stream_, reorder.from, reorder.to);
    stream_.wait();
  }

  std::int64_t scratch_bytes(const TensorView& a, const memory::desc& b, std::optional<DType> bias, const TensorView& c,
                             Accumulate accumulate) {
    return static_cast<std::int64_t>(plan(a, b, bias, c, accumulate).scratchpad_desc().get_size());
  }

  void release_scratch() { scratch_.reset(); }

  std::mutex& mutex() { return mutex_; }

 private:
  static memory::desc row_desc(std::optional<DType> bias, std::int64_t n) {
    return bias ? memory::desc({1, n}, type_of(*bias), memory::format_tag::ab) : memory::desc();
  }

  dnnl::matmul::primitive_desc plan(const TensorView& a, const memory::desc& b, std::optional<DType> bias,
                                    const TensorView& c, Accumulate accumulate) {
    dnnl::primitive_attr attributes;
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    if (accumulate == Accumulate::add) {
      dnnl::post_ops steps;
      steps.append_sum(1.0f);
      attributes.set_post_ops(steps);
    }
    const dnnl::matmul::desc operation = bias ? dnnl::matmul::desc(desc_of(a), b, row_desc(bias, c.dim(1)), desc_of(c))
                                              : dnnl::matmul::desc(desc_of(a), b, desc_of(c));
    return {operation, attributes, engine_};
  }

  Product make_product(const TensorView& a, const memory::desc& b, const TensorView& bias, const TensorView& c,
                       Accumulate accumulate) {
    const std::optional<DType> bias_type = bias.empty() ? std::nullopt : std::optional(bias.dtype);
    const dnnl::matmul::primitive_desc made = plan(a, b, bias_type, c, accumulate);
    const auto unbound = [this](const memory::desc& layout) { return memory(layout, engine_, DNNL_MEMORY_NONE); };
    Product product{dnnl::matmul(made), static_cast<std::int64_t>(made.scratchpad_desc().get_size()), {}};
    product.arguments = {{DNNL_ARG_SRC, unbound(made.src_desc())},
                         {DNNL_ARG_WEIGHTS, unbound(made.weights_desc())},
                         {DNNL_ARG_DST, unbound(made.dst_desc())},
                         {DNNL_ARG_SCRATCHPAD, unbound(made.scratchpad_desc())}};
    if (bias_type) product.arguments.emplace(DNNL_ARG_BIAS, unbound(row_desc(bias_type, c.dim(1))));
    return product;
  }

  Device* device_;
  dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream_{engine_};
  std::mutex mutex_;
  Buffer scratch_;
  std::map<ShapeKey, Product> products_;
  std::map<ShapeKey, Reorder> reorders_;
  std::map<std::array<std::int64_t, 3>, memory::desc> layouts_;
};

namespace {

ShapeKey key_of(const TensorView& a, std::array<std::int64_t, 2> b_strides, const TensorView& bias, const TensorView& c,
                Accumulate accumulate) {
  return {c.dim(0),
          a.dim(1),
          c.dim(1),
          code(a.dtype),
          a.stride(0),
          a.stride(1),
          b_strides[0],
          b_strides[1],
          code(c.dtype),
          c.stride(0),
          c.stride(1),
          bias.empty() ? -1 : code(bias.dtype),
          accumulate == Accumulate::add,
          omp_get_max_threads()};
}

void check_product(const TensorView& a, std::int64_t k, std::int64_t n, DType b_type, const TensorView& bias,
                   const TensorView& c) {
  FERULA_CHECK(a.rank == 2 && c.rank == 2 && a.dim(1) == k && c.dim(1) == n && c.dim(0) == a.dim(0),
               "[{}, {}] · [{}, {}] into [{}, {}]", a.dim(0), a.dim(1), k, n, c.dim(0), c.dim(1));
  FERULA_CHECK(a.dtype == b_type, "{} times {}", name_of(a.dtype), name_of(b_type));
  FERULA_CHECK(bias.empty() || (bias.count() == n && bias.contiguous()), "{} biases for {} columns", bias.count(), n);
}

/// Runs a call of oneDNN under the lock; its errors name the product.
template <class Call>
void guarded(std::mutex& mutex, std::int64_t k, std::int64_t n, const Call& call) {
  const std::scoped_lock lock(mutex);
  try {
    call();
  } catch (const dnnl::error& error) {
    throw DeviceError(fmt::format(
        "oneDNN: expected to multiply by a matrix [{}, {}], the library refused with status {} ({}); another version "
        "of oneDNN or f32 instead of bf16 may help",
        k, n, static_cast<int>(error.status), error.what()));
  }
}

}  // namespace

Matmul::Matmul(Device& device) : implementation_(std::make_unique<Implementation>(device)) {}
Matmul::~Matmul() = default;

void Matmul::multiply(TensorView a, TensorView b, TensorView bias, TensorView c, Accumulate accumulate) {
  check_product(a, b.dim(0), b.dim(1), b.dtype, bias, c);
  if (c.count() == 0) return;
  const ShapeKey key = key_of(a, {b.stride(0), b.stride(1)}, bias, c, accumulate);
  guarded(implementation_->mutex(), b.dim(0), b.dim(1),
          [&] { implementation_->multiply(a, desc_of(b), key, b.data, bias, c, accumulate); });
}

void Matmul::multiply(TensorView a, const PackedMatrix& b, TensorView bias, TensorView c, Accumulate accumulate) {
  check_product(a, b.k, b.n, b.dtype, bias, c);
  if (c.count() == 0) return;
  const ShapeKey key = key_of(a, {0, 0}, bias, c, accumulate);  // strides of 0 stand for the packed layout
  guarded(implementation_->mutex(), b.k, b.n, [&] {
    implementation_->multiply(a, implementation_->packed_layout(b.k, b.n, b.dtype), key, b.memory.data, bias, c,
                              accumulate);
  });
}

std::int64_t Matmul::scratch_bytes(TensorView a, TensorView b, std::optional<DType> bias, TensorView c,
                                   Accumulate accumulate) {
  std::int64_t bytes = 0;
  guarded(implementation_->mutex(), b.dim(0), b.dim(1),
          [&] { bytes = implementation_->scratch_bytes(a, desc_of(b), bias, c, accumulate); });
  return bytes;
}

std::int64_t Matmul::scratch_bytes(TensorView a, const PackedMatrix& b, std::optional<DType> bias, TensorView c,
                                   Accumulate accumulate) {
  std::int64_t bytes = 0;
  guarded(implementation_->mutex(), b.k, b.n, [&] {
    bytes = implementation_->scratch_bytes(a, implementation_->packed_layout(b.k, b.n, b.dtype), bias, c, accumulate);
  });
  return bytes;
}

void Matmul::release_scratch() {
  const std::scoped_lock lock(implementation_->mutex());
  implementation_->release_scratch();
}

std::int64_t Matmul::packed_bytes(std::int64_t k, std::int64_t n, DType dtype) {
  std::int64_t bytes = 0;
  guarded(implementation_->mutex(), k, n,
          [&] { bytes = static_cast<std::int64_t>(implementation_->packed_layout(k, n, dtype).get_size()); });
  return bytes;
}

void Matmul::pack(TensorView from, const PackedMatrix& to) {
  FERULA_CHECK(from.dim(0) == to.k && from.dim(1) == to.n, "[{}, {}] packed as [{}, {}]", from.dim(0), from.dim(1),
               to.k, to.n);
  guarded(implementation_->mutex(), to.k, to.n, [&] { implementation_->pack(from, to); });
}

bool has_bf16_instructions() {
  const auto isa = static_cast<int>(dnnl::get_effective_cpu_isa());
  const auto wanted = static_cast<int>(dnnl::cpu_isa::avx512_core_bf16);
  return (isa & wanted) == wanted;
}

bool supports_bf16_factors() {
  const auto isa = static_cast<int>(dnnl::get_effective_cpu_isa());
  const auto wanted = static_cast<int>(dnnl::cpu_isa::avx512_core);
  return (isa & wanted) == wanted;
}

}  // namespace ferula::cpu
