// Caches a value derived from a weight; recomputed when the weight changes.
#pragma once
#include <ATen/core/Tensor.h>

#include <mutex>
#include <optional>

namespace antiphon::nn {

template <class Value>
class OfWeight {
 public:
  // Calls make() the first time, and again if the weight has changed since; thread-safe.
  template <class Make>
  Value get(const at::Tensor& weight, const Make& make) {
    const std::lock_guard lock(mutex_);
    if (!made_ || data_ != weight.const_data_ptr() || version_ != weight._version()) {
      made_ = make();
      data_ = weight.const_data_ptr(), version_ = weight._version();
    }
    return *made_;
  }

 private:
  std::mutex mutex_;
  std::optional<Value> made_;
  const void* data_ = nullptr;
  uint32_t version_ = 0;
};

}  // namespace antiphon::nn
