// The coarse operations that models and optimizers are made of. Every backend and the tests' plain reference answer to
// this interface. T below is the compute type of activations and values, f32 or bf16; sums are always f32 or wider.
// All matrices are row-major; a view may have a row stride. Zero rows are legal and do nothing.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "device/device.hpp"

namespace ferula {

/// The packed form of a weight that the matrix library wants; belongs to the lease of the weight's unit.
class PreparedWeight {
 public:
  virtual ~PreparedWeight() = default;
};

/// A linear layer's weight as an operation sees it.
struct WeightView {
  TensorView values;                   // [out, in], T
  TensorView scales;                   // empty unless quantised
  PreparedWeight* prepared = nullptr;  // null: use `values` as they lie
  std::uint64_t version = 0;           // of `values`; a packed form of another version is stale
};

enum class Accumulate : std::uint8_t { overwrite, add };
enum class NormKind : std::uint8_t { layer, rms };
enum class RotaryDirection : std::uint8_t { forward, backward };

/// y = (x − mean) / sqrt(var + eps) · weight + bias (Ba et al. 2016), or x / rms(x) · weight (Zhang, Sennrich 2019).
struct NormSpec {
  NormKind kind = NormKind::layer;
  float eps = 1e-5f;
};

/// Which elements are dropped is a function of (key, step, sample, position, column), never of a rank or micro batch.
struct DropoutSpec {
  float rate = 0.0f;
  std::uint64_t key = 0;  // random_key(seed, site name)
  TensorView step;        // [1] i64, the training step at a stable address
  TensorView sample;      // [rows] i64, the global sample of each row
  TensorView position;    // [rows] i32
};

/// Shape of a linear layer's calls: x [rows, in] T, w [out, in] T, y [rows, out] in `result`.
struct LinearShape {
  std::int64_t rows = 0;
  std::int64_t in = 0;
  std::int64_t out = 0;
  DType compute = DType::f32;                // T
  DType result = DType::f32;                 // of y; dy is T
  std::optional<DType> bias = std::nullopt;  // its type, where y has one
  bool adds_gradients = false;               // of the weight: to earlier ones, not only over what is there
};

/// Memory that operations take beside their operands. All operations of a rank share it: the largest of each counts.
struct ScratchBytes {
  std::int64_t own = 0;      // of the backend
  std::int64_t library = 0;  // of the matrix library below it

  void cover(const ScratchBytes& other) {
    own = std::max(own, other.own);
    library = std::max(library, other.library);
  }
  std::int64_t sum() const { return own + library; }
};

/// Shape of an attention call over packed sequences.
struct AttentionSpec {
  int heads = 1;
  int kv_heads = 1;  // divides heads
  int head_dim = 64;
  float scale = 0.125f;  // of the products of queries and keys; above 0
};

enum class OptimizerKind : std::uint8_t { adam, sgd, lion };

/// The constants of an update rule. `adam`: Kingma, Ba 2015; decoupled decay: Loshchilov, Hutter 2019;
/// `lion`: Chen et al. 2023, Algorithm 2; `sgd`: PyTorch's rule (momentum buffer starts as the first gradient).
struct OptimizerRule {
  OptimizerKind kind = OptimizerKind::adam;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double momentum = 0.0;
  bool nesterov = false;
  bool decoupled_decay = true;  // false: decay is added to the gradient (L2)
  bool bias_correction = true;
};

/// Elements [begin, begin + count) of the flat range share one weight decay.
struct DecaySegment {
  std::int64_t begin = 0;
  std::int64_t count = 0;
  float weight_decay = 0.0f;
};

/// The scalars of one step, at a stable address so that a captured graph can be replayed: f32[kStepScalars].
enum StepScalar : std::uint8_t { kLearningRate, kGradientScale, kCorrection1, kCorrection2, kFirstStep, kStepScalars };

/// The flat range that one rank updates. All views are contiguous and of equal count; those that a rule or dtype does
/// not use are empty.
struct OptimizerRange {
  TensorView gradient;  // f32
  TensorView master;    // f32: the value itself when the model is f32
  TensorView value;     // bf16 copy of the master; empty when the model is f32
  TensorView moment1;   // f32 exp_avg, or momentum
  TensorView moment2;   // f32 exp_avg_sq
  std::span<const DecaySegment> decay;
};

class Ops {
 public:
  virtual ~Ops() = default;

  // --- matrix products -------------------------------------------------------------------------------------------
  /// y = x · Wᵀ + bias (+ y when adding). x [rows, in] T, y [rows, out] T or f32, bias [out] T or empty.
  virtual void linear(Stream&, TensorView x, const WeightView& w, TensorView bias, TensorView y, Accumulate) = 0;
  /// dx = dy · W (+ dx when adding). dy [rows, out] T, dx [rows, in] T.
  virtual void linear_backward_input(Stream&, TensorView dy, const WeightView& w, TensorView dx, Accumulate) = 0;
  /// dw = dyᵀ · x (+ dw when adding) and dbias += column sums of dy. dw [out, in] f32, dbias [out] f32; an empty one is
  /// skipped.
  virtual void linear_backward_weight(Stream&, TensorView x, TensorView dy, TensorView dw, Accumulate,
                                      TensorView dbias) = 0;
  /// An empty packed form for a weight of that shape; `linear` fills it when its version is stale.
  /// Null where packing does not pay. Memory is taken from the device as `buffers` at this call.
  virtual std::unique_ptr<PreparedWeight> make_prepared(std::int64_t out, std::int64_t in, DType dtype) = 0;

  // --- embeddings ------------------------------------------------------------------------------------------------
  /// y[r] = table[token[r]] + positions[position[r]]. token, position [rows] i32; `positions` may be empty.
  virtual void embed(Stream&, TensorView token, TensorView position, TensorView table, TensorView positions,
                     TensorView y) = 0;
  /// dtable[token[r]] += dy[r], dpositions[position[r]] += dy[r]; f32; an empty one is skipped. Same bits each time.
  virtual void embed_backward(Stream&, TensorView token, TensorView position, TensorView dy, TensorView dtable,
                              TensorView dpositions) = 0;

  // --- norms and element-wise functions -----------------------------------------------------------------------------
  /// residual += delta (skipped when `delta` is empty), then y = norm(residual). statistics [rows, 2] f32: mean, 1/σ.
  /// residual, delta, y [rows, width] T; weight, bias [width] T (bias empty for rms).
  virtual void residual_norm(Stream&, const NormSpec&, TensorView residual, TensorView delta, TensorView weight,
                             TensorView bias, TensorView y, TensorView statistics) = 0;
  /// dx (+)= gradient of the norm at x; dweight, dbias f32 accumulate, an empty one is skipped.
  virtual void norm_backward(Stream&, const NormSpec&, TensorView dy, TensorView x, TensorView weight,
                             TensorView statistics, TensorView dx, Accumulate, TensorView dweight,
                             TensorView dbias) = 0;
  /// y = 0.5 x (1 + tanh(√(2/π) (x + 0.044715 x³))) (Hendrycks, Gimpel 2016). y may be x.
  virtual void gelu(Stream&, TensorView x, TensorView y) = 0;
  virtual void gelu_backward(Stream&, TensorView x, TensorView dy, TensorView dx) = 0;  // dx may be dy
  /// hidden = x · Wᵀ + bias, y = gelu(hidden); hidden, y [rows, out] T. A backend may join the two, and then need not
  /// round `hidden` to T in between.
  virtual void linear_gelu(Stream& stream, TensorView x, const WeightView& w, TensorView bias, TensorView hidden,
                           TensorView y) {
    linear(stream, x, w, bias, hidden, Accumulate::overwrite);
    gelu(stream, hidden, y);
  }
  /// dhidden = (dy · W) · gelu'(hidden): the gradient of gelu before a linear layer. dy [rows, out], hidden, dhidden
  /// [rows, in] T.
  virtual void linear_gelu_backward(Stream& stream, TensorView dy, const WeightView& w, TensorView hidden,
                                    TensorView dhidden) {
    linear_backward_input(stream, dy, w, dhidden, Accumulate::overwrite);
    gelu_backward(stream, hidden, dhidden, dhidden);
  }
  /// y = silu(gate) · up, gate_up [rows, 2 · ffn] holds gate then up (Shazeer 2020). y [rows, ffn].
  virtual void swiglu(Stream&, TensorView gate_up, TensorView y) = 0;
  virtual void swiglu_backward(Stream&, TensorView gate_up, TensorView dy, TensorView dgate_up) = 0;
  /// Rotates pairs (i, i + head_dim/2) of x [rows, heads, head_dim] in place by position · theta^(−2i/head_dim)
  /// (Su et al. 2021, the half-split form of Llama checkpoints). `backward` rotates by the opposite angle.
  virtual void rotary(Stream&, TensorView x, TensorView position, float theta, RotaryDirection) = 0;
  /// x ·= mask / (1 − rate), in place; its own backward.
  virtual void dropout(Stream&, const DropoutSpec&, TensorView x) = 0;
  /// x += y.
  virtual void add(Stream&, TensorView x, TensorView y) = 0;
  /// to = from, with conversion between f32 and bf16.
  virtual void copy(Stream&, TensorView from, TensorView to) = 0;
  virtual void fill(Stream&, TensorView x, float value) = 0;
  /// y[i] = x[row[i]]; row [n] i32.
  virtual void gather_rows(Stream&, TensorView x, TensorView row, TensorView y) = 0;

  // --- attention -------------------------------------------------------------------------------------------------
  /// Causal attention within each sequence: tiles with online softmax (Dao et al. 2022).
  /// q [rows, heads, head_dim], k, v [rows, kv_heads, head_dim], out like q: T, rows may be strided.
  /// starts [sequences + 1] i32: rows of sequence s are [starts[s], starts[s+1]). logsumexp [heads, rows] f32.
  virtual void attention(Stream&, const AttentionSpec&, TensorView q, TensorView k, TensorView v, TensorView starts,
                         TensorView out, TensorView logsumexp) = 0;
  virtual void attention_backward(Stream&, const AttentionSpec&, TensorView q, TensorView k, TensorView v,
                                  TensorView starts, TensorView out, TensorView dout, TensorView logsumexp,
                                  TensorView dq, TensorView dk, TensorView dv) = 0;
  /// Writes row r's key and value to cache[slot[r], position[r]]. cache [slots, length, kv_heads, head_dim] T.
  virtual void cache_append(Stream&, TensorView k, TensorView v, TensorView slot, TensorView position,
                            TensorView k_cache, TensorView v_cache) = 0;
  /// out[r] attends to cache[slot[r], 0 … position[r]].
  virtual void attention_cached(Stream&, const AttentionSpec&, TensorView q, TensorView k_cache, TensorView v_cache,
                                TensorView slot, TensorView position, TensorView out) = 0;

  // --- loss ------------------------------------------------------------------------------------------------------
  /// losses[r] = −log softmax(logits[r])[target[r]] over the first `vocabulary` columns; 0 where target[r] < 0.
  /// dlogits[r] = scale · (softmax − onehot), 0 in padding columns and ignored rows; skipped when empty.
  /// logits [rows, columns] f32, target [rows] i32, losses [rows] f32, dlogits [rows, columns] T.
  virtual void cross_entropy(Stream&, TensorView logits, TensorView target, std::int64_t vocabulary, float scale,
                             TensorView losses, TensorView dlogits) = 0;

  // --- flat ranges -----------------------------------------------------------------------------------------------
  /// Adds Σ x² to total [1] f64; x f32 contiguous. The same bits for any number of threads.
  virtual void sum_of_squares(Stream&, TensorView x, TensorView total) = 0;
  /// One sweep over memory: scales the gradient, updates master and moments, writes the bf16 copy.
  /// scalars f32[kStepScalars]. kFirstStep is 1 in the first step (SGD's momentum).
  virtual void optimizer_update(Stream&, const OptimizerRule&, TensorView scalars, const OptimizerRange&) = 0;
  /// x[i] = std · normal(key, first + i), rounded to x's type.
  virtual void fill_normal(Stream&, TensorView x, std::uint64_t key, std::int64_t first, float std) = 0;

  // --- scratch ---------------------------------------------------------------------------------------------------
  /// What the three products of a linear layer will take, for the calling thread's number of threads. Allocates
  /// nothing.
  virtual ScratchBytes linear_scratch(const LinearShape&) = 0;
  virtual ScratchBytes norm_backward_scratch(std::int64_t rows, std::int64_t width) = 0;
  /// Of the forward and the backward pass over `rows` rows in sequences of `length`. A backend may prepare kernels for
  /// them, which it then has at the first call.
  virtual ScratchBytes attention_scratch(const AttentionSpec&, DType compute, std::int64_t rows,
                                         std::int64_t length) = 0;
  /// Whose kernels the shapes above have got, where that depends on the machine: "attention by cuDNN 9.19.0".
  virtual std::string kernels_in_words() { return {}; }
};

/// The CPU backend: oneDNN for products, Highway for the rest, OpenMP threads. Scratch grows in the first steps only.
std::unique_ptr<Ops> make_cpu_ops(Device& device);

}  // namespace ferula
