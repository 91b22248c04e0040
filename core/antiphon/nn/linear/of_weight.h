// What is made of a weight and kept until the weight changes.
#pragma once
#include <ATen/core/Tensor.h>

#include <mutex>
#include <optional>

namespace antiphon::nn {

template <class Value>
class OfWeight {
 public:
  // make() at the first call, and again where the weight has changed since; from any thread.
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
