// One case of the table of operations: named tensors and a call. Drives comparison with the reference, finite
// differences and timing.
#pragma once

#include <functional>
#include <iosfwd>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ops/ops.hpp"

namespace ferula::test {

enum class Role : std::uint8_t {
  input,   // the call reads it
  output,  // the call writes it and nobody reads what was there
  inout,   // the call reads and writes it
  saved,   // only `prepare` and the forward pass of a derivative touch it
};

/// How one tensor of a case looks and what it holds at first.
struct TensorSpec {
  std::string name = {};
  Role role = Role::input;
  DType dtype = DType::f32;
  std::vector<std::int64_t> shape = {};
  std::vector<double> values = {};  // explicit contents; empty: normal noise
  double deviation = 1.0;           // of the noise
  std::int64_t row_gap = 0;         // elements between two entries of the first dimension that belong to somebody else
  bool exact = false;               // its values have no rounding error: never perturbed
  bool shared = false;              // the host can read it, too, where a device calls for memory of its own
};

enum class Precision : std::uint8_t {
  declared,
  f64,  // every floating tensor is held in f64
};

/// The tensors of one call. Equal contents for equal specs, whatever the precision, except for rounding.
class TensorSet {
 public:
  TensorSet(Device& device, const std::vector<TensorSpec>& specs, Precision precision);
  /// The tensors of `host` in memory of another device: equal bytes, those between rows included.
  TensorSet(Device& device, Stream& stream, const TensorSet& host);
  /// Takes the bytes of `other`, whose memory belongs to `device` and which was made from this set.
  void take_back(Device& device, Stream& stream, const TensorSet& other);

  /// Fails a FERULA_CHECK for a name that no spec has.
  TensorView operator[](const std::string& name) const;
  /// An empty view where no spec has that name: an argument that is left out.
  TensorView optional(const std::string& name) const;
  const std::vector<TensorSpec>& specs() const { return specs_; }
  /// Takes the values of all tensors of `other`, which has the same names and shapes.
  void copy_from(const TensorSet& other);
  /// Whether the memory between rows still holds what it held at first.
  bool gaps_untouched() const;
  /// The memory of one tensor, with what lies between its rows.
  std::span<const std::byte> bytes_of_tensor(const std::string& name) const;

 private:
  struct Tensor {
    Buffer memory;
    TensorView view;
  };
  std::vector<TensorSpec> specs_;
  std::map<std::string, Tensor> tensors_;
};

using Call = std::function<void(Ops&, Stream&, const TensorSet&)>;

/// What a backward operation must be the derivative of: Σ output · upstream, over all pairs.
struct Derivative {
  struct Gradient {
    std::string input, gradient;
    Accumulate accumulate = Accumulate::overwrite;  // add: what was there before is no part of the gradient
  };
  Call forward = {};
  std::string output = {}, upstream = {};
  std::vector<Gradient> gradients = {};
};

struct OpCase {
  std::string name = {};       // unique; letters, digits and underscores
  std::string operation = {};  // its name in ops/ops.hpp
  std::vector<TensorSpec> tensors = {};
  Call call = {};
  Call prepare = {};  // may be empty; fills saved tensors and inputs from a forward pass
  std::optional<Derivative> derivative = {};
  double flops = 0;           // of one call; 0 where memory is the limit
  double rounding = 0x1p-19;  // relative error of intermediate values that is allowed: 32 roundings of f32

  /// Memory that one call must at least read and write.
  double bytes() const;
};

/// How a failing test names its case.
void PrintTo(const OpCase& op_case, std::ostream* stream);

}  // namespace ferula::test
