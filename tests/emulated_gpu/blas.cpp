// What the CUDA backend uses of cuBLASLt, on the processor: products with f32 sums, a bias and GELU behind them.
#include <cublasLt.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>
#include <numeric>
#include <vector>

#include "base/dtype.hpp"
#include "runtime.hpp"

namespace ferula::emulated {
namespace {

/// Multiplications of the largest product that is made: larger ones are those by which a program probes the GPU's rate,
/// and their results nobody reads.
constexpr std::int64_t kMostMultiplications = std::int64_t{1} << 32;

/// Column-major: element (row, column) lies at row + column · leading.
struct Layout {
  cudaDataType type;
  std::int64_t rows, columns, leading;
};

struct Description {
  cublasOperation_t a = CUBLAS_OP_N, b = CUBLAS_OP_N;
  cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  const void* bias = nullptr;
  cudaDataType bias_type = CUDA_R_32F;
  void* hidden = nullptr;
  cudaDataType hidden_type = CUDA_R_32F;
  std::int64_t hidden_leading = 0;
};

struct Preference {
  std::uint32_t least_alignment = 256;
};

float element(const void* data, cudaDataType type, std::int64_t at) {
  if (type == CUDA_R_16BF) return static_cast<float>(static_cast<const bf16*>(data)[at]);
  return static_cast<const float*>(data)[at];
}
void set_element(void* data, cudaDataType type, std::int64_t at, float value) {
  if (type == CUDA_R_16BF)
    static_cast<bf16*>(data)[at] = bf16(value);
  else
    static_cast<float*>(data)[at] = value;
}

/// The operand as rows that lie together, [columns of the result's side, depth].
std::vector<float> packed(const void* data, const Layout& layout, bool rows_are_depth) {
  std::vector<float> result;
  const std::int64_t outer = rows_are_depth ? layout.columns : layout.rows;
  const std::int64_t depth = rows_are_depth ? layout.rows : layout.columns;
  result.reserve(static_cast<std::size_t>(outer * depth));
  for (std::int64_t o = 0; o < outer; ++o)
    for (std::int64_t k = 0; k < depth; ++k)
      result.push_back(element(data, layout.type, rows_are_depth ? k + o * layout.leading : o + k * layout.leading));
  return result;
}

/// Eight sums side by side, so that the compiler may use the processor's vectors.
float dot(const float* a, const float* b, std::int64_t count) {
  float sums[8] = {};
  std::int64_t at = 0;
  for (; at + 8 <= count; at += 8)
    for (int i = 0; i < 8; ++i) sums[i] += a[at + i] * b[at + i];
  for (; at < count; ++at) sums[at % 8] += a[at] * b[at];
  return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

float inner_of_gelu(float x) { return std::sqrt(2.0f / std::numbers::pi_v<float>) * (x + 0.044715f * x * x * x); }
float gelu(float x) { return 0.5f * x * (1.0f + std::tanh(inner_of_gelu(x))); }
float gelu_slope(float x) {
  const float t = std::tanh(inner_of_gelu(x));
  const float slope = std::sqrt(2.0f / std::numbers::pi_v<float>) * (1.0f + 3.0f * 0.044715f * x * x);
  return 0.5f * (1.0f + t) + 0.5f * x * (1.0f - t * t) * slope;
}

bool has_bias(cublasLtEpilogue_t epilogue) {
  return epilogue == CUBLASLT_EPILOGUE_BIAS || epilogue == CUBLASLT_EPILOGUE_GELU_AUX_BIAS;
}

float behind(const Description& what, std::int64_t row, std::int64_t column, float sum) {
  if (has_bias(what.epilogue)) sum += element(what.bias, what.bias_type, row);
  const std::int64_t at = row + column * what.hidden_leading;
  if (what.epilogue == CUBLASLT_EPILOGUE_DGELU) return sum * gelu_slope(element(what.hidden, what.hidden_type, at));
  if (what.epilogue != CUBLASLT_EPILOGUE_GELU_AUX && what.epilogue != CUBLASLT_EPILOGUE_GELU_AUX_BIAS) return sum;
  set_element(what.hidden, what.hidden_type, at, sum);
  return gelu(sum);
}

template <class T>
const T& as(const void* opaque) {
  return *static_cast<const T*>(opaque);
}

/// Sets the field that an attribute names; false where it is of another size.
template <class T>
bool take(T& field, const void* value, std::size_t bytes) {
  if (bytes != sizeof(T)) return false;
  std::memcpy(&field, value, bytes);
  return true;
}

}  // namespace
}  // namespace ferula::emulated

using namespace ferula::emulated;  // NOLINT: the functions below are its

extern "C" {

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
  *handle = reinterpret_cast<cublasLtHandle_t>(1);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtDestroy(cublasLtHandle_t) { return CUBLAS_STATUS_SUCCESS; }
const char* cublasLtGetStatusString(cublasStatus_t) { return "refused by the emulated library"; }

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, cudaDataType type, std::uint64_t rows,
                                          std::uint64_t columns, std::int64_t leading) {
  if (leading < static_cast<std::int64_t>(rows)) return CUBLAS_STATUS_INVALID_VALUE;
  *layout = reinterpret_cast<cublasLtMatrixLayout_t>(
      new Layout{type, static_cast<std::int64_t>(rows), static_cast<std::int64_t>(columns), leading});
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
  delete reinterpret_cast<Layout*>(layout);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* description, cublasComputeType_t compute,
                                        cudaDataType_t scale) {
  if (compute != CUBLAS_COMPUTE_32F || scale != CUDA_R_32F) return CUBLAS_STATUS_NOT_SUPPORTED;
  *description = reinterpret_cast<cublasLtMatmulDesc_t>(new Description);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t description) {
  delete reinterpret_cast<Description*>(description);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t description,
                                              cublasLtMatmulDescAttributes_t attribute, const void* value,
                                              std::size_t bytes) {
  auto& mine = *reinterpret_cast<Description*>(description);
  const auto set = [&](auto& field) {
    return take(field, value, bytes) ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
  };
  switch (attribute) {
    case CUBLASLT_MATMUL_DESC_TRANSA:
      return set(mine.a);
    case CUBLASLT_MATMUL_DESC_TRANSB:
      return set(mine.b);
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
      return set(mine.epilogue);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
      return set(mine.bias);
    case CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE:
      return set(mine.bias_type);
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER:
      return set(mine.hidden);
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_DATA_TYPE:
      return set(mine.hidden_type);
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD:
      return set(mine.hidden_leading);
    default:
      return CUBLAS_STATUS_NOT_SUPPORTED;
  }
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) {
  *preference = reinterpret_cast<cublasLtMatmulPreference_t>(new Preference);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  delete reinterpret_cast<Preference*>(preference);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t attribute, const void* value,
                                                    std::size_t bytes) {
  auto& least = reinterpret_cast<Preference*>(preference)->least_alignment;
  switch (attribute) {
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES:
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES:
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES:
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES: {
      std::uint32_t alignment = 0;
      if (!take(alignment, value, bytes)) return CUBLAS_STATUS_INVALID_VALUE;
      least = std::min(least, alignment);
      return CUBLAS_STATUS_SUCCESS;
    }
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES:
    case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK:
      return CUBLAS_STATUS_SUCCESS;
    default:
      return CUBLAS_STATUS_NOT_SUPPORTED;
  }
}

/// Two suggestions; none where columns of bf16 begin at other addresses than multiples of four, or of 16 where
/// something is stored beside the result.
cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t description,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t,
                                              cublasLtMatmulPreference_t preference, int most,
                                              cublasLtMatmulHeuristicResult_t* results, int* found) {
  const auto epilogue = as<Description>(description).epilogue;
  const bool stores_more = epilogue != CUBLASLT_EPILOGUE_DEFAULT && epilogue != CUBLASLT_EPILOGUE_BIAS;
  std::int64_t alignment = as<Preference>(preference).least_alignment;
  for (const cublasLtMatrixLayout_t each : {a, b, c}) {
    const auto& layout = as<Layout>(each);
    alignment = std::gcd(alignment, layout.leading * (layout.type == CUDA_R_16BF ? 2 : 4));
  }
  *found = 0;
  if (alignment < (stores_more ? 16 : 4)) return CUBLAS_STATUS_NOT_SUPPORTED;
  for (; *found < std::min(most, 2); ++*found) results[*found] = {.state = CUBLAS_STATUS_SUCCESS};
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t description, const void* alpha, const void* a,
                              cublasLtMatrixLayout_t a_layout, const void* b, cublasLtMatrixLayout_t b_layout,
                              const void* beta, const void* c, cublasLtMatrixLayout_t c_layout, void* d,
                              cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t*, void*, std::size_t,
                              cudaStream_t stream) {
  const auto what = as<Description>(description);
  const auto a_is = as<Layout>(a_layout), b_is = as<Layout>(b_layout), c_is = as<Layout>(c_layout),
             d_is = as<Layout>(d_layout);
  const float product_factor = as<float>(alpha), old_factor = as<float>(beta);
  const bool a_deep = what.a == CUBLAS_OP_T, b_deep = what.b == CUBLAS_OP_N;
  const std::int64_t depth = a_deep ? a_is.rows : a_is.columns;
  if ((b_deep ? b_is.rows : b_is.columns) != depth) return CUBLAS_STATUS_INVALID_VALUE;
  const cudaError_t error = enqueue(stream, [=] {
    if (depth * d_is.rows * d_is.columns > kMostMultiplications) return;
    const std::vector<float> left = packed(a, a_is, a_deep), right = packed(b, b_is, b_deep);
    for (std::int64_t column = 0; column < d_is.columns; ++column)
      for (std::int64_t row = 0; row < d_is.rows; ++row) {
        float sum = product_factor * dot(left.data() + row * depth, right.data() + column * depth, depth);
        if (old_factor != 0.0f) sum += old_factor * element(c, c_is.type, row + column * c_is.leading);
        set_element(d, d_is.type, row + column * d_is.leading, behind(what, row, column, sum));
      }
  });
  return error == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
}

}  // extern "C"
