// Ownership of a C handle, written once for MPI, HDF5, oneDNN, file descriptors and the GPU libraries.
#pragma once

#include <utility>

namespace ferula {

/// Owns one C handle. `Traits` has `using type`, `static type invalid()` and `static void close(type) noexcept`.
template <class Traits>
class Handle {
 public:
  using type = typename Traits::type;

  Handle() = default;
  explicit Handle(type value) : value_(value) {}
  Handle(Handle&& other) noexcept : value_(std::exchange(other.value_, Traits::invalid())) {}
  Handle& operator=(Handle&& other) noexcept {
    if (this != &other) {
      reset();
      value_ = std::exchange(other.value_, Traits::invalid());
    }
    return *this;
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() { reset(); }

  type get() const { return value_; }
  explicit operator bool() const { return value_ != Traits::invalid(); }
  void reset() {
    if (value_ != Traits::invalid()) Traits::close(std::exchange(value_, Traits::invalid()));
  }
  /// Gives the handle away without closing it.
  type release() { return std::exchange(value_, Traits::invalid()); }

 private:
  type value_ = Traits::invalid();
};

}  // namespace ferula
