// cuBLASLt is column-major: a row-major product c = a · b is given to it as cᵀ = bᵀ · aᵀ, so its first operand is b.
#include "ops/cuda/matmul.hpp"

#include <limits>

#include "ops/cuda/launch.hpp"

namespace ferula::cuda {
namespace {

constexpr int kMostTried = 32, kTimedLaunches = 3, kFinalLaunches = 10;
constexpr double kFinalist = 1.15;        // of the least time of single launches
constexpr double kLeastTriedFlops = 1e9;  // below, launches cost more than the best choice saves
constexpr double kClearlyFaster = 0.995;
/// A product times this, added to a matrix, leaves it as it was but for zeros; 0 could be skipped by the library.
constexpr float kNextToNothing = std::numeric_limits<float>::denorm_min();

void check_blas(cublasStatus_t status, const char* call) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  const std::string message = fmt::format("{} failed: {}", call, cublasLtGetStatusString(status));
  if (status == CUBLAS_STATUS_ALLOC_FAILED) throw CapacityError(message);
  throw DeviceError(message);
}

cudaDataType_t type_of(const TensorView& view) { return view.dtype == DType::bf16 ? CUDA_R_16BF : CUDA_R_32F; }

/// The largest power of two up to 256 that divides the address.
std::uint32_t alignment_of(const TensorView& view) {
  const auto address = reinterpret_cast<std::uintptr_t>(view.data);
  std::uint32_t alignment = 256;
  while (address % alignment != 0) alignment /= 2;
  return alignment;
}

cublasOperation_t operation(Transpose transpose) { return transpose == Transpose::yes ? CUBLAS_OP_T : CUBLAS_OP_N; }

/// A row-major matrix as the library's column-major transpose.
cublasLtMatrixLayout_t make_layout(const TensorView& matrix) {
  cublasLtMatrixLayout_t layout = nullptr;
  const std::int64_t leading = std::max(matrix.stride(0), matrix.dim(1));  // a single row may have any stride
  check_blas(cublasLtMatrixLayoutCreate(&layout, type_of(matrix), static_cast<std::uint64_t>(matrix.dim(1)),
                                        static_cast<std::uint64_t>(matrix.dim(0)), leading),
             "cublasLtMatrixLayoutCreate");
  return layout;
}

template <class T>
void set(cublasLtMatmulDesc_t description, cublasLtMatmulDescAttributes_t attribute, T value) {
  check_blas(cublasLtMatmulDescSetAttribute(description, attribute, &value, sizeof value),
             "cublasLtMatmulDescSetAttribute");
}

template <class T>
void set(cublasLtMatmulPreference_t preference, cublasLtMatmulPreferenceAttributes_t attribute, T value) {
  check_blas(cublasLtMatmulPreferenceSetAttribute(preference, attribute, &value, sizeof value),
             "cublasLtMatmulPreferenceSetAttribute");
}

void check_product(const Product& product) {
  const bool a_plain = product.a_transpose == Transpose::no, b_plain = product.b_transpose == Transpose::no;
  FERULA_CHECK(product.a.rank == 2 && product.b.rank == 2 && product.c.rank == 2, "a product of matrices expected");
  FERULA_CHECK(product.a.dim(a_plain ? 0 : 1) == product.m() && product.b.dim(b_plain ? 1 : 0) == product.n() &&
                   product.b.dim(b_plain ? 0 : 1) == product.k(),
               "[{}, {}] and [{}, {}] do not make [{}, {}]", product.a.dim(0), product.a.dim(1), product.b.dim(0),
               product.b.dim(1), product.m(), product.n());
  FERULA_CHECK(product.a.dtype == product.b.dtype, "{} times {}", name_of(product.a.dtype), name_of(product.b.dtype));
  FERULA_CHECK((product.epilogue == Epilogue::none) == product.hidden.empty() &&
                   (product.hidden.empty() || product.hidden.dim(1) == product.n()),
               "an epilogue needs a matrix like the result");
  FERULA_CHECK(product.a.stride(1) == 1 && product.b.stride(1) == 1 && product.c.stride(1) == 1,
               "columns do not lie together");
}

}  // namespace

/// What the library needs to know of a shape, and its best algorithm, if it has one.
struct Matmul::Plan {
  cublasLtMatmulDesc_t description = nullptr;
  cublasLtMatrixLayout_t a = nullptr, b = nullptr, c = nullptr;
  std::optional<cublasLtMatmulAlgo_t> algorithm;
  bool settled = false;

  Plan() = default;
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;
  ~Plan() {
    if (a != nullptr) cublasLtMatrixLayoutDestroy(a);
    if (b != nullptr) cublasLtMatrixLayoutDestroy(b);
    if (c != nullptr) cublasLtMatrixLayoutDestroy(c);
    if (description != nullptr) cublasLtMatmulDescDestroy(description);
  }
};

Matmul::Matmul(Device& device, Determinism determinism) : workspace_(device), determinism_(determinism) {
  check_blas(cublasLtCreate(&handle_), "cublasLtCreate");
}

Matmul::~Matmul() {
  plans_.clear();
  if (handle_ != nullptr) cublasLtDestroy(handle_);
}

Matmul::Key Matmul::key_of(const Product& product) {
  return {product.m(),
          product.n(),
          product.k(),
          product.a.stride(0),
          product.b.stride(0),
          product.c.stride(0),
          static_cast<std::int64_t>(product.a.dtype),
          static_cast<std::int64_t>(product.c.dtype),
          product.a_transpose == Transpose::yes ? 1 : 0,
          product.b_transpose == Transpose::yes ? 1 : 0,
          product.bias.empty() ? 0 : alignment_of(product.bias),
          product.adds ? 1 : 0,
          (static_cast<std::int64_t>(alignment_of(product.a)) << 16) + alignment_of(product.b),
          (static_cast<std::int64_t>(product.epilogue) << 32) + (alignment_of(product.hidden) << 16) +
              alignment_of(product.c),
          product.hidden.empty() ? 0 : product.hidden.stride(0),
          product.hidden.empty() ? 0 : static_cast<std::int64_t>(product.hidden.dtype)};
}

namespace {

cublasLtEpilogue_t epilogue_of(const Product& product) {
  if (product.epilogue == Epilogue::gelu_backward) return CUBLASLT_EPILOGUE_DGELU;
  if (product.epilogue == Epilogue::gelu)
    return product.bias.empty() ? CUBLASLT_EPILOGUE_GELU_AUX : CUBLASLT_EPILOGUE_GELU_AUX_BIAS;
  return product.bias.empty() ? CUBLASLT_EPILOGUE_DEFAULT : CUBLASLT_EPILOGUE_BIAS;
}

/// What the launches of one plan may change between them.
void set_pointers(cublasLtMatmulDesc_t description, const Product& product) {
  if (!product.bias.empty())
    set(description, CUBLASLT_MATMUL_DESC_BIAS_POINTER, static_cast<const void*>(product.bias.data));
  if (!product.hidden.empty())
    set(description, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, static_cast<void*>(product.hidden.data));
}

}  // namespace

Matmul::Plan& Matmul::plan_of(const Product& product) {
  const Key key = key_of(product);
  if (const auto found = plans_.find(key); found != plans_.end()) return *found->second;
  auto plan = std::make_unique<Plan>();
  check_blas(cublasLtMatmulDescCreate(&plan->description, CUBLAS_COMPUTE_32F, CUDA_R_32F), "cublasLtMatmulDescCreate");
  set(plan->description, CUBLASLT_MATMUL_DESC_TRANSA, operation(product.b_transpose));
  set(plan->description, CUBLASLT_MATMUL_DESC_TRANSB, operation(product.a_transpose));
  set(plan->description, CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue_of(product));
  if (!product.bias.empty()) set(plan->description, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, type_of(product.bias));
  if (!product.hidden.empty()) {
    set(plan->description, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_DATA_TYPE, type_of(product.hidden));
    set(plan->description, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, product.hidden.stride(0));
  }
  set_pointers(plan->description, product);
  plan->a = make_layout(product.a);
  plan->b = make_layout(product.b);
  plan->c = make_layout(product.c);
  const auto best = suggestions(*plan, product, 1);
  if (!best.empty()) plan->algorithm = best.front().algo;
  return *plans_.emplace(key, std::move(plan)).first->second;
}

std::vector<cublasLtMatmulHeuristicResult_t> Matmul::suggestions(const Plan& plan, const Product& product, int most) {
  cublasLtMatmulPreference_t preference = nullptr;
  check_blas(cublasLtMatmulPreferenceCreate(&preference), "cublasLtMatmulPreferenceCreate");
  const auto destroy = [](cublasLtMatmulPreference_t owned) { cublasLtMatmulPreferenceDestroy(owned); };
  const std::unique_ptr<std::remove_pointer_t<cublasLtMatmulPreference_t>, decltype(destroy)> owner(preference,
                                                                                                    destroy);
  set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, static_cast<std::uint64_t>(kWorkspaceBytes));
  // Sums of split products in place depend on timing; those through the workspace do not.
  set(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
      static_cast<std::uint32_t>(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignment_of(product.b));
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignment_of(product.a));
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignment_of(product.c));
  const std::uint32_t bias_alignment = product.bias.empty() ? 256 : alignment_of(product.bias);
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, std::min(alignment_of(product.c), bias_alignment));
  std::vector<cublasLtMatmulHeuristicResult_t> results(static_cast<std::size_t>(most));
  int found = 0;
  const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(handle_, plan.description, plan.b, plan.a, plan.c,
                                                               plan.c, preference, most, results.data(), &found);
  if (status == CUBLAS_STATUS_NOT_SUPPORTED || status == CUBLAS_STATUS_INVALID_VALUE) return {};
  check_blas(status, "cublasLtMatmulAlgoGetHeuristic");
  results.resize(static_cast<std::size_t>(found));
  std::erase_if(results, [](const auto& each) { return each.state != CUBLAS_STATUS_SUCCESS; });
  return results;
}

cublasStatus_t Matmul::launch(cudaStream_t stream, const Plan& plan, const Product& product,
                              const cublasLtMatmulAlgo_t& algorithm, float alpha) {
  const float beta = product.adds ? 1.0f : 0.0f;
  Workspace::Lease scratch = workspace_.lease(stream, kWorkspaceBytes);
  set_pointers(plan.description, product);
  return cublasLtMatmul(handle_, plan.description, &alpha, product.b.data, plan.b, product.a.data, plan.a, &beta,
                        product.c.data, plan.c, product.c.data, plan.c, &algorithm,
                        scratch.take<std::byte>(kWorkspaceBytes), static_cast<std::size_t>(kWorkspaceBytes), stream);
}

void Matmul::execute(cudaStream_t stream, const Plan& plan, const Product& product,
                     const cublasLtMatmulAlgo_t& algorithm) {
  check_blas(launch(stream, plan, product, algorithm, 1.0f), "cublasLtMatmul");
}

std::optional<double> Matmul::seconds(cudaStream_t stream, const Plan& plan, const Product& product,
                                      const cublasLtMatmulAlgo_t& algorithm, int launches) {
  const auto make_event = [] {
    cudaEvent_t event = nullptr;
    check_cuda(cudaEventCreate(&event), "cudaEventCreate");
    return CudaEventHandle(event);
  };
  const CudaEventHandle begin = make_event(), end = make_event();
  check_cuda(cudaEventRecord(begin.get(), stream), "cudaEventRecord");
  for (int each = 0; each < launches; ++each)
    if (launch(stream, plan, product, algorithm, product.adds ? kNextToNothing : 1.0f) != CUBLAS_STATUS_SUCCESS)
      return std::nullopt;
  check_cuda(cudaEventRecord(end.get(), stream), "cudaEventRecord");
  check_cuda(cudaEventSynchronize(end.get()), "cudaEventSynchronize");
  float milliseconds = 0.0f;
  check_cuda(cudaEventElapsedTime(&milliseconds, begin.get(), end.get()), "cudaEventElapsedTime");
  return 1e-3 * static_cast<double>(milliseconds) / launches;
}

/// Each suggestion alone, then those that were nearly the fastest as they run in a step: one after another.
void Matmul::settle(cudaStream_t stream, Plan& plan, const Product& product) {
  if (plan.settled) return;
  plan.settled = true;
  const double flops =
      2.0 * static_cast<double>(product.m()) * static_cast<double>(product.n()) * static_cast<double>(product.k());
  if (determinism_ == Determinism::same_bits || !plan.algorithm || flops < kLeastTriedFlops) return;
  struct Tried {
    cublasLtMatmulAlgo_t algorithm;
    double seconds;
  };
  std::vector<Tried> tried;
  double least = std::numeric_limits<double>::max();
  for (const auto& each : suggestions(plan, product, kMostTried)) {
    if (!seconds(stream, plan, product, each.algo, 1)) continue;  // loads the kernel
    const std::optional<double> found = seconds(stream, plan, product, each.algo, kTimedLaunches);
    if (!found) continue;
    tried.push_back({each.algo, *found});
    least = std::min(least, *found);
  }
  std::erase_if(tried, [&](const Tried& each) { return each.seconds > kFinalist * least; });
  double best = std::numeric_limits<double>::max();
  for (const Tried& each : tried) {  // the library's own order decides between equals
    const std::optional<double> found = seconds(stream, plan, product, each.algorithm, kFinalLaunches);
    if (!found || *found >= best * kClearlyFaster) continue;
    best = *found;
    plan.algorithm = each.algorithm;
  }
}

void Matmul::run(cudaStream_t stream, const Product& product) {
  check_product(product);
  if (product.m() == 0 || product.n() == 0) return;
  const bool bias_fits = product.bias.empty() || product.bias.dtype == product.c.dtype;
  Product main = product;
  if (!bias_fits) main.bias = {};
  {
    const std::lock_guard lock(mutex_);
    Plan& plan = plan_of(main);
    if (plan.algorithm) {
      settle(stream, plan, main);
      execute(stream, plan, main, *plan.algorithm);
    } else {
      FERULA_CHECK(main.epilogue == Epilogue::none, "no algorithm for a product with an epilogue");
      plain_product(stream, main);
    }
  }
  if (main.bias.empty() && !product.bias.empty()) add_bias(stream, product.c, product.bias);
}

bool Matmul::knows(const Product& product) {
  check_product(product);
  if (!product.bias.empty() && product.bias.dtype != product.c.dtype) return false;
  const std::lock_guard lock(mutex_);
  return plan_of(product).algorithm.has_value();
}

std::vector<cublasLtMatmulAlgo_t> Matmul::algorithms(const Product& product, int most) {
  check_product(product);
  const std::lock_guard lock(mutex_);
  std::vector<cublasLtMatmulAlgo_t> result;
  for (const auto& each : suggestions(plan_of(product), product, most)) result.push_back(each.algo);
  return result;
}

void Matmul::run_with(cudaStream_t stream, const Product& product, const cublasLtMatmulAlgo_t& algorithm) {
  const std::lock_guard lock(mutex_);
  execute(stream, plan_of(product), product, algorithm);
}

}  // namespace ferula::cuda
