// Times the CUDA operations at the shapes of a GPT-2 124M step of 16 × 1,024 tokens, beside the ceiling that bounds
// each: products beside the best algorithm that cuBLASLt suggests, the rest beside a copy that moves as many bytes.
// Prints one JSON.
// Usage: bench_gpu_ops [part of a name]
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string_view>
#include <vector>

#include "device/cuda/cuda_stream.hpp"
#include "ops/cuda/cuda_ops.hpp"
#include "ops/cuda/matmul.hpp"
#include "timing.hpp"

namespace ferula::gpu_test {
namespace {

constexpr std::int64_t kRows = 16 * 1024;  // tokens
constexpr std::int64_t kWidth = 768;
constexpr std::int64_t kMostCopied = std::int64_t{1} << 31;  // bytes; of more, the rate is the same
constexpr std::int64_t kVocabulary = 50257, kColumns = 50304;

/// One line of the result.
struct Measurement {
  std::string name;
  double seconds = 0;
  double amount = 0;   // FLOP or bytes
  std::string unit;    // "TFLOP/s" or "GB/s"
  double ceiling = 0;  // in FLOP or bytes a second; 0: none was probed
  std::string ceiling_name;
};

class Bench {
 public:
  explicit Bench(std::string_view only)
      : only_(only), timer_(gpu_.device()), copy_rate_(copy_bandwidth(gpu_.device(), timer_)) {}

  void run() {
    for (const auto& [name, in, out] : {Layer{"qkv", kWidth, 3 * kWidth},
                                        {"attention_out", kWidth, kWidth},
                                        {"ffn_in", kWidth, 4 * kWidth},
                                        {"ffn_out", 4 * kWidth, kWidth}})
      products(name, kRows, in, out, DType::bf16, true);
    products("head", kRows / 4, kWidth, kColumns, DType::f32, false);
    norms();
    pointwise();
    loss();
    ranges();
    embeddings();
    attention(64, 12);
    attention(128, 16);
  }

  void print();

 private:
  struct Layer {
    const char* name;
    std::int64_t in, out;
  };

  bool wanted(const std::string& name) const { return name.find(only_) != std::string::npos; }
  Ops& ops() { return gpu_.ops(); }
  Stream& stream() { return timer_.stream(); }

  /// Memory that lives as long as the block of measurements, filled with normal numbers.
  TensorView tensor(DType dtype, std::initializer_list<std::int64_t> shape, float deviation = 1.0f) {
    buffers_.push_back(gpu_.device().allocate(TensorView(nullptr, dtype, shape).bytes(), MemoryKind::buffers));
    const TensorView view = buffers_.back().view(dtype, shape);
    if (dtype == DType::f32 || dtype == DType::bf16)
      ops().fill_normal(stream(), buffers_.back().flat(dtype), buffers_.size(), 0, deviation);
    return view;
  }
  /// The same for whole numbers, from the host.
  template <class T>
  TensorView numbers(const std::vector<T>& list) {
    const auto count = static_cast<std::int64_t>(list.size());
    const TensorView view = tensor(dtype_of<T>, {count});
    gpu_.device().copy(stream(), reinterpret_cast<const std::byte*>(list.data()), view.data, view.bytes());
    stream().synchronize();
    return view;
  }

  template <class Call>
  void moves(const std::string& name, double bytes, Call call) {
    if (!wanted(name)) return;
    const double copy = copy_bandwidth(gpu_.device(), timer_, std::min(kMostCopied, static_cast<std::int64_t>(bytes)));
    results_.push_back({name, timer_.seconds(call), bytes, "GB/s", copy, "copy of as many bytes"});
  }

  void product(const std::string& name, const cuda::Product& product);
  void products(const std::string& name, std::int64_t rows, std::int64_t in, std::int64_t out, DType result, bool bias);
  void norms();
  void pointwise();
  void loss();
  void ranges();
  void embeddings();
  void attention(int head_dim, int heads);

  std::string only_;
  GpuBench gpu_;
  std::unique_ptr<Ops> own_ = make_cuda_ops(gpu_.device(), Determinism::same_bits);  // no library's attention
  GpuTimer timer_;
  cuda::Matmul matmul_{gpu_.device(), Determinism::fastest};
  double copy_rate_;
  std::vector<Buffer> buffers_;
  std::vector<Measurement> results_;
};

void Bench::product(const std::string& name, const cuda::Product& product) {
  if (!wanted(name) || !matmul_.knows(product)) return;
  const double flops =
      2.0 * static_cast<double>(product.m()) * static_cast<double>(product.n()) * static_cast<double>(product.k());
  const double seconds = timer_.seconds([&] { matmul_.run(native_stream(stream()), product); });
  double best = seconds;
  for (const auto& algorithm : matmul_.algorithms(product, 32))
    best = std::min(best, timer_.seconds([&] { matmul_.run_with(native_stream(stream()), product, algorithm); }));
  results_.push_back({name, seconds, flops, "TFLOP/s", flops / best, "best cuBLASLt algorithm"});
}

void Bench::products(const std::string& name, std::int64_t rows, std::int64_t in, std::int64_t out, DType result,
                     bool bias) {
  buffers_.clear();
  const TensorView x = tensor(DType::bf16, {rows, in}), w = tensor(DType::bf16, {out, in}, 0.02f);
  const TensorView y = tensor(result, {rows, out}), dy = tensor(DType::bf16, {rows, out});
  const TensorView dx = tensor(DType::bf16, {rows, in}), dw = tensor(DType::f32, {out, in});
  const TensorView shift = bias ? tensor(DType::bf16, {out}) : TensorView();
  product("linear_" + name, {.a = x, .b = w, .b_transpose = cuda::Transpose::yes, .c = y, .bias = shift});
  product("linear_backward_input_" + name, {.a = dy, .b = w, .c = dx});
  if (name == "ffn_in")
    product("linear_gelu_" + name, {.a = x,
                                    .b = w,
                                    .b_transpose = cuda::Transpose::yes,
                                    .c = y,
                                    .bias = shift,
                                    .epilogue = cuda::Epilogue::gelu,
                                    .hidden = dy});
  if (name == "ffn_out")
    product("linear_gelu_backward_" + name,
            {.a = dy, .b = w, .c = dx, .epilogue = cuda::Epilogue::gelu_backward, .hidden = x});
  product("linear_backward_weight_" + name,
          {.a = dy, .b = x, .a_transpose = cuda::Transpose::yes, .c = dw, .adds = true});
  if (!bias) return;
  const TensorView dbias = tensor(DType::f32, {out});
  moves("bias_gradient_" + name, static_cast<double>(dy.bytes()),
        [&] { ops().linear_backward_weight(stream(), x, dy, {}, Accumulate::add, dbias); });
}

void Bench::norms() {
  buffers_.clear();
  constexpr std::int64_t kMany = 4 * kRows;  // beyond the L2 cache
  const TensorView x = tensor(DType::bf16, {kMany, kWidth}), delta = tensor(DType::bf16, {kMany, kWidth});
  const TensorView y = tensor(DType::bf16, {kMany, kWidth}), statistics = tensor(DType::f32, {kMany, 2});
  const TensorView weight = tensor(DType::bf16, {kWidth}), bias = tensor(DType::bf16, {kWidth});
  const TensorView dweight = tensor(DType::f32, {kWidth}), dbias = tensor(DType::f32, {kWidth});
  const auto bytes = static_cast<double>(x.bytes());
  const NormSpec spec;
  moves("residual_norm", 4 * bytes,
        [&] { ops().residual_norm(stream(), spec, x, delta, weight, bias, y, statistics); });
  moves("norm", 2 * bytes, [&] { ops().residual_norm(stream(), spec, x, {}, weight, bias, y, statistics); });
  moves("norm_backward_add", 4 * bytes,
        [&] { ops().norm_backward(stream(), spec, delta, x, weight, statistics, y, Accumulate::add, dweight, dbias); });
}

void Bench::pointwise() {
  buffers_.clear();
  const TensorView x = tensor(DType::bf16, {kRows, 4 * kWidth}), y = tensor(DType::bf16, {kRows, 4 * kWidth});
  const TensorView gates = tensor(DType::bf16, {kRows, 8 * kWidth}), wide = tensor(DType::f32, {kRows, 4 * kWidth});
  const auto bytes = static_cast<double>(x.bytes());
  moves("gelu", 2 * bytes, [&] { ops().gelu(stream(), x, y); });
  moves("gelu_backward", 3 * bytes, [&] { ops().gelu_backward(stream(), x, y, y); });
  moves("swiglu", 3 * bytes, [&] { ops().swiglu(stream(), gates, y); });
  moves("swiglu_backward", 5 * bytes, [&] { ops().swiglu_backward(stream(), gates, y, gates); });
  moves("add", 3 * bytes, [&] { ops().add(stream(), x, y); });
  moves("copy_f32_to_bf16", 3 * bytes, [&] { ops().copy(stream(), wide, y); });
  moves("fill_f32", 2 * bytes, [&] { ops().fill(stream(), wide, 0.0f); });
  const std::vector<std::int64_t> samples(static_cast<std::size_t>(kRows), 5);
  const std::vector<std::int32_t> places(static_cast<std::size_t>(kRows), 7);
  const TensorView positions = numbers(places);
  const DropoutSpec spec{0.1f, 99, numbers(std::vector<std::int64_t>{3}), numbers(samples), positions};
  moves("dropout", 2 * bytes, [&] { ops().dropout(stream(), spec, x); });
  const TensorView heads = x.reshaped({kRows, 4 * kWidth / 64, 64});
  moves("rotary", 2 * bytes, [&] { ops().rotary(stream(), heads, positions, 10000.0f, RotaryDirection::forward); });
}

void Bench::loss() {
  buffers_.clear();
  constexpr std::int64_t kLossRows = kRows / 4;
  const TensorView logits = tensor(DType::f32, {kLossRows, kColumns}), losses = tensor(DType::f32, {kLossRows});
  const TensorView dlogits = tensor(DType::bf16, {kLossRows, kColumns});
  std::vector<std::int32_t> targets(static_cast<std::size_t>(kLossRows));
  for (std::size_t row = 0; row < targets.size(); ++row) targets[row] = static_cast<std::int32_t>(row * 11);
  const TensorView target = numbers(targets);
  moves("cross_entropy", static_cast<double>(logits.bytes() + dlogits.bytes()),
        [&] { ops().cross_entropy(stream(), logits, target, kVocabulary, 1e-4f, losses, dlogits); });
}

void Bench::ranges() {
  buffers_.clear();
  constexpr std::int64_t kCount = 124'439'808;
  const TensorView gradient = tensor(DType::f32, {kCount}), master = tensor(DType::f32, {kCount});
  const TensorView moment1 = tensor(DType::f32, {kCount}), moment2 = tensor(DType::f32, {kCount});
  const TensorView value = tensor(DType::bf16, {kCount}), total = tensor(DType::f64, {1});
  ops().fill(stream(), moment2, 0.01f);
  const TensorView scalars = numbers(std::vector<float>{1e-5f, 1.0f, 0.5f, 0.5f, 0.0f});
  const std::vector<DecaySegment> decay = {{0, kCount / 2, 0.1f}};
  const OptimizerRule rule{.beta2 = 0.95};
  moves("adamw_bf16", 30.0 * kCount, [&] {
    ops().optimizer_update(stream(), rule, scalars, {gradient, master, value, moment1, moment2, decay});
  });
  moves("adamw_f32", 28.0 * kCount, [&] {
    ops().optimizer_update(stream(), rule, scalars, {gradient, master, {}, moment1, moment2, decay});
  });
  moves("sum_of_squares", 4.0 * kCount, [&] { ops().sum_of_squares(stream(), gradient, total); });
}

void Bench::embeddings() {
  buffers_.clear();
  const TensorView table = tensor(DType::bf16, {kColumns, kWidth}), places = tensor(DType::bf16, {1024, kWidth});
  const TensorView y = tensor(DType::bf16, {kRows, kWidth}), dtable = tensor(DType::f32, {kColumns, kWidth});
  const TensorView dplaces = tensor(DType::f32, {1024, kWidth});
  std::vector<std::int32_t> tokens, positions;
  for (std::int64_t row = 0; row < kRows;
       ++row) {  // squares of a uniform number: small tokens are frequent, as in text
    const double uniform = std::fmod(static_cast<double>(row) * 0.6180339887, 1.0);
    tokens.push_back(static_cast<std::int32_t>(std::pow(uniform, 4.0) * kVocabulary));
    positions.push_back(static_cast<std::int32_t>(row % 1024));
  }
  const TensorView token = numbers(tokens), position = numbers(positions);
  moves("embed", 2.0 * static_cast<double>(y.bytes()),
        [&] { ops().embed(stream(), token, position, table, places, y); });
  moves("embed_backward", 3.0 * static_cast<double>(y.bytes()),
        [&] { ops().embed_backward(stream(), token, position, y, dtable, dplaces); });
}

void Bench::attention(int head_dim, int heads) {
  buffers_.clear();
  constexpr std::int64_t kLength = 1024;
  const std::int64_t width = static_cast<std::int64_t>(heads) * head_dim;
  const TensorView qkv = tensor(DType::bf16, {kRows, 3 * width}), dqkv = tensor(DType::bf16, {kRows, 3 * width});
  const TensorView out = tensor(DType::bf16, {kRows, width}), dout = tensor(DType::bf16, {kRows, width});
  const TensorView logsumexp = tensor(DType::f32, {heads, kRows});
  std::vector<std::int32_t> bounds;
  for (std::int64_t row = 0; row <= kRows; row += kLength) bounds.push_back(static_cast<std::int32_t>(row));
  buffers_.push_back(
      gpu_.device().allocate_shared(static_cast<std::int64_t>(bounds.size() * sizeof bounds[0]), MemoryKind::buffers));
  const TensorView starts = buffers_.back().flat(DType::i32);  // the host reads them, too, as in a training run
  std::copy(bounds.begin(), bounds.end(), starts.span<std::int32_t>().begin());
  const auto part = [&](const TensorView& fused, std::int64_t which, std::int64_t all) {
    TensorView view(fused.data + which * width * 2, DType::bf16, {kRows, heads, head_dim});
    view.strides[0] = all * width;
    return view;
  };
  const AttentionSpec spec{heads, heads, head_dim, 1.0f / std::sqrt(static_cast<float>(head_dim))};
  const auto q = part(qkv, 0, 3), k = part(qkv, 1, 3), v = part(qkv, 2, 3), o = part(out, 0, 1);
  const double pairs = 0.5 * static_cast<double>(kRows) * (kLength + 1);
  const double flops = 4.0 * pairs * static_cast<double>(width);
  const auto time = [&](const std::string& name, double amount, const std::function<void()>& call) {
    if (wanted(name)) results_.push_back({name, timer_.seconds(call), amount, "TFLOP/s", 0, ""});
  };
  for (Ops* each : {&ops(), own_.get()}) {
    const char* kernels = each == own_.get() ? "own_" : "";
    each->attention_scratch(spec, DType::bf16, kRows, kLength);
    const auto forward = [&] { each->attention(stream(), spec, q, k, v, starts, o, logsumexp); };
    forward();
    time(fmt::format("{}attention_d{}", kernels, head_dim), flops, forward);
    time(fmt::format("{}attention_backward_d{}", kernels, head_dim), 2.5 * flops, [&] {
      each->attention_backward(stream(), spec, q, k, v, starts, o, part(dout, 0, 1), logsumexp, part(dqkv, 0, 3),
                               part(dqkv, 1, 3), part(dqkv, 2, 3));
    });
  }
}

void Bench::print() {
  const std::string kernels = ops().kernels_in_words();
  int device = 0, driver = 0;
  cudaDeviceProp properties{};
  check_cuda(cudaGetDevice(&device), "cudaGetDevice");
  check_cuda(cudaGetDeviceProperties(&properties, device), "cudaGetDeviceProperties");
  check_cuda(cudaDriverGetVersion(&driver), "cudaDriverGetVersion");
  std::printf(
      "{\"gpu\": \"%s\", \"multiprocessors\": %d, \"cuda_driver\": %d, \"copy_GB_s\": %.1f, \"kernels\": \"%s\", "
      "\"operations\": [",
      properties.name, properties.multiProcessorCount, driver, copy_rate_ * 1e-9, kernels.c_str());
  for (std::size_t index = 0; index < results_.size(); ++index) {
    const Measurement& each = results_[index];
    const double rate = each.amount / each.seconds, unit = each.unit == "GB/s" ? 1e-9 : 1e-12;
    std::printf("%s\n  {\"name\": \"%s\", \"microseconds\": %.2f, \"rate\": %.2f, \"unit\": \"%s\"",
                index == 0 ? "" : ",", each.name.c_str(), each.seconds * 1e6, rate * unit, each.unit.c_str());
    if (each.ceiling > 0)
      std::printf(", \"ceiling\": %.2f, \"ceiling_of\": \"%s\", \"fraction\": %.4f", each.ceiling * unit,
                  each.ceiling_name.c_str(), rate / each.ceiling);
    std::printf("}");
  }
  std::printf("\n]}\n");
}

int run_bench(std::string_view only) {
  if (const std::string missing = why_no_gpu(); !missing.empty()) {
    std::fprintf(stderr, "skipped: %s\n", missing.c_str());
    return 77;
  }
  try {
    Bench bench(only);
    bench.run();
    bench.print();
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}

}  // namespace
}  // namespace ferula::gpu_test

int main(int count, char** words) { return ferula::gpu_test::run_bench(count > 1 ? words[1] : ""); }
