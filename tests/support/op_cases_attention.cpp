// Cases of attention: every head size, grouped heads, packed sequences, and the key-value cache.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "support/op_cases.hpp"

namespace ferula::test {
namespace {

struct Attention {
  std::vector<std::int64_t> lengths;
  int heads, kv_heads, head_dim;
  DType dtype = DType::f32;

  std::int64_t rows() const { return std::accumulate(lengths.begin(), lengths.end(), std::int64_t{0}); }
  std::string name(const std::string& operation) const {
    std::string joined;
    for (const std::int64_t length : lengths) joined += fmt::format("_{}", length);
    return fmt::format("{}_{}_d{}_h{}_kv{}_rows{}", operation, name_of(dtype), head_dim, heads, kv_heads, joined);
  }
  AttentionSpec spec() const { return {heads, kv_heads, head_dim, 1.0f / std::sqrt(static_cast<float>(head_dim))}; }
  /// A product of two [keys, head_dim] matrices for every head: half of what a full square would cost.
  double product_flops() const {
    double pairs = 0;
    for (const auto length : lengths) pairs += 0.5 * static_cast<double>(length) * static_cast<double>(length + 1);
    return 2.0 * pairs * heads * head_dim;
  }
  /// As a training run asks before its first step: a backend may have kernels for sequences of one length.
  void ask_for_scratch(Ops& ops) const {
    const auto other = [&](std::int64_t length) { return length != lengths.front(); };
    if (lengths.empty() || lengths.front() == 0 || std::any_of(lengths.begin(), lengths.end(), other)) return;
    ops.attention_scratch(spec(), dtype, rows(), lengths.front());
  }
  std::vector<double> starts() const {
    std::vector<double> bounds = {0};
    for (const std::int64_t length : lengths) bounds.push_back(bounds.back() + static_cast<double>(length));
    return bounds;
  }
  /// A column slice of a fused matrix: other columns lie between two rows.
  TensorSpec rows_of(const std::string& tensor_name, Role role, int head_count) const {
    return {.name = tensor_name,
            .role = role,
            .dtype = dtype,
            .shape = {rows(), head_count, head_dim},
            .row_gap = 2 * head_dim};
  }
  std::vector<TensorSpec> tensors(Role results) const {
    return {rows_of("q", Role::input, heads),
            rows_of("k", Role::input, kv_heads),
            rows_of("v", Role::input, kv_heads),
            {.name = "starts",
             .dtype = DType::i32,
             .shape = {static_cast<std::int64_t>(lengths.size()) + 1},
             .values = starts(),
             .shared = true},
            rows_of("out", results, heads),
            {.name = "logsumexp", .role = results, .shape = {heads, rows()}}};
  }
};

Call forward_call(const Attention& shape) {
  return [shape](Ops& ops, Stream& stream, const TensorSet& set) {
    shape.ask_for_scratch(ops);
    ops.attention(stream, shape.spec(), set["q"], set["k"], set["v"], set["starts"], set["out"], set["logsumexp"]);
  };
}

OpCase attention(const Attention& shape) {
  return {.name = shape.name("attention"),
          .operation = "attention",
          .tensors = shape.tensors(Role::output),
          .call = forward_call(shape),
          .flops = 2 * shape.product_flops()};
}

OpCase attention_backward(const Attention& shape) {
  OpCase result{.name = shape.name("attention_backward"),
                .operation = "attention_backward",
                .tensors = shape.tensors(Role::input),
                .prepare = forward_call(shape),
                .flops = 5 * shape.product_flops()};
  result.tensors.push_back(shape.rows_of("dout", Role::input, shape.heads));
  result.tensors.push_back(shape.rows_of("dq", Role::output, shape.heads));
  result.tensors.push_back(shape.rows_of("dk", Role::output, shape.kv_heads));
  result.tensors.push_back(shape.rows_of("dv", Role::output, shape.kv_heads));
  result.call = [shape](Ops& ops, Stream& stream, const TensorSet& set) {
    shape.ask_for_scratch(ops);
    ops.attention_backward(stream, shape.spec(), set["q"], set["k"], set["v"], set["starts"], set["out"], set["dout"],
                           set["logsumexp"], set["dq"], set["dk"], set["dv"]);
  };
  result.derivative = {.forward = forward_call(shape),
                       .output = "out",
                       .upstream = "dout",
                       .gradients = {{"q", "dq"}, {"k", "dk"}, {"v", "dv"}}};
  return result;
}

/// A cache of three slots; row r belongs to slot (2 r) mod 3 and lies at the given position.
struct Cached {
  std::vector<std::int64_t> positions;
  std::int64_t length;
  int heads, kv_heads, head_dim;
  DType dtype = DType::f32;

  std::int64_t rows() const { return static_cast<std::int64_t>(positions.size()); }
  std::string name(const std::string& operation) const {
    return fmt::format("{}_{}_d{}_h{}_kv{}_rows{}_of_{}", operation, name_of(dtype), head_dim, heads, kv_heads, rows(),
                       length);
  }
  std::vector<TensorSpec> tensors(Role cache) const {
    std::vector<double> slots;
    for (std::int64_t row = 0; row < rows(); ++row) slots.push_back(static_cast<double>(2 * row % 3));
    const std::vector<std::int64_t> dims = {3, length, kv_heads, head_dim};
    return {
        {.name = "slot", .dtype = DType::i32, .shape = {rows()}, .values = slots},
        {.name = "position", .dtype = DType::i32, .shape = {rows()}, .values = {positions.begin(), positions.end()}},
        {.name = "k_cache", .role = cache, .dtype = dtype, .shape = dims},
        {.name = "v_cache", .role = cache, .dtype = dtype, .shape = dims}};
  }
};

OpCase cache_append(const Cached& shape) {
  OpCase result{.name = shape.name("cache_append"), .operation = "cache_append", .tensors = shape.tensors(Role::inout)};
  for (const char* name : {"k", "v"})
    result.tensors.push_back({.name = name,
                              .dtype = shape.dtype,
                              .shape = {shape.rows(), shape.kv_heads, shape.head_dim},
                              .row_gap = shape.head_dim});
  result.call = [](Ops& ops, Stream& stream, const TensorSet& set) {
    ops.cache_append(stream, set["k"], set["v"], set["slot"], set["position"], set["k_cache"], set["v_cache"]);
  };
  return result;
}

OpCase attention_cached(const Cached& shape) {
  OpCase result{
      .name = shape.name("attention_cached"), .operation = "attention_cached", .tensors = shape.tensors(Role::input)};
  const AttentionSpec spec{shape.heads, shape.kv_heads, shape.head_dim,
                           1.0f / std::sqrt(static_cast<float>(shape.head_dim))};
  for (const auto& [name, role] : {std::pair{"q", Role::input}, {"out", Role::output}})
    result.tensors.push_back({.name = name,
                              .role = role,
                              .dtype = shape.dtype,
                              .shape = {shape.rows(), shape.heads, shape.head_dim},
                              .row_gap = shape.head_dim});
  result.call = [spec](Ops& ops, Stream& stream, const TensorSet& set) {
    ops.attention_cached(stream, spec, set["q"], set["k_cache"], set["v_cache"], set["slot"], set["position"],
                         set["out"]);
  };
  return result;
}

std::vector<Attention> test_shapes(DType dtype) {
  return {{{70}, 2, 2, 32, dtype},      {{3, 1, 66, 31}, 4, 2, 64, dtype}, {{65}, 2, 1, 80, dtype},
          {{33, 40}, 2, 2, 96, dtype},  {{1, 36}, 2, 1, 128, dtype},       {{128, 128, 128}, 4, 2, 64, dtype},
          {{96, 96}, 2, 1, 128, dtype}, {{67}, 1, 1, 256, dtype},          {{1}, 3, 1, 64, dtype},
          {{5, 9}, 2, 2, 6, dtype},     {{0, 2, 0, 1}, 2, 2, 36, dtype},   {{131, 64, 128}, 1, 1, 16, dtype},
          {{170, 20}, 2, 1, 64, dtype}, {{140, 1, 30}, 2, 1, 128, dtype},  {{}, 2, 2, 64, dtype}};
}

}  // namespace

std::vector<OpCase> attention_cases() {
  std::vector<OpCase> cases;
  for (const DType dtype : {DType::f32, DType::bf16}) {
    for (const Attention& shape : test_shapes(dtype)) {
      cases.push_back(attention(shape));
      cases.push_back(attention_backward(shape));
    }
    for (const Cached& shape : {Cached{{0, 5, 9}, 10, 4, 2, 64, dtype},
                                {{129, 63, 64}, 130, 3, 1, 32, dtype},
                                {{7}, 8, 2, 2, 80, dtype},
                                {{800, 3}, 1000, 2, 1, 128, dtype},
                                {{2, 3, 1}, 4, 2, 2, 6, dtype},
                                {{}, 4, 1, 1, 64, dtype}}) {
      cases.push_back(cache_append(shape));
      cases.push_back(attention_cached(shape));
    }
  }
  return cases;
}

std::vector<OpCase> attention_timing_cases() {
  std::vector<OpCase> cases;
  for (const DType dtype : {DType::f32, DType::bf16}) {
    for (const Attention& shape : {Attention{{512, 512}, 12, 12, 64, dtype},
                                   {{128, 128, 128, 128}, 12, 12, 64, dtype},
                                   {{2048}, 9, 3, 64, dtype},
                                   {{512}, 16, 4, 128, dtype}}) {
      cases.push_back(attention(shape));
      cases.push_back(attention_backward(shape));
    }
    cases.push_back(attention_cached({{1023, 1023, 1023}, 1024, 12, 12, 64, dtype}));
  }
  return cases;
}

}  // namespace ferula::test
