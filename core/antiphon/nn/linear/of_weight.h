// Caches a value derived from a weight; recomputed when the weight changes.
#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <mutex>
#include <optional>

namespace antiphon::nn {

// Runs `make` without gradients and outside any InferenceMode: what it makes are ordinary tensors.
void make_ordinary(const std::function<void()>& make);

// A weight has changed if its memory is another (the same address given out anew counts as another), or its version is:
// every operation that writes into a tensor raises that. Who writes into a weight's memory past LibTorch's operations
// must raise it, too: weight.unsafeGetTensorImpl()->bump_version().
template <class Value>
class OfWeight {
 public:
  // Calls make() the first time, and again if the weight has changed since; thread-safe. What is made may be used in
  // training, although it is first wanted within an InferenceMode.
  template <class Make>
  Value get(const at::Tensor& weight, const Make& make) {
    const std::lock_guard lock(mutex_);
    const auto memory = of_.lock();
    const bool same = memory && memory.get() == weight.storage().unsafeGetStorageImpl();
    if (!made_ || !same || data_ != weight.const_data_ptr() || version_ != weight._version()) {
      make_ordinary([&] { made_ = make(); });
      of_ = weight.storage().getWeakStorageImpl();
      data_ = weight.const_data_ptr(), version_ = weight._version();
    }
    return *made_;
  }

 private:
  using Memory = c10::weak_intrusive_ptr<c10::StorageImpl>;
  std::mutex mutex_;
  std::optional<Value> made_;
  Memory of_{c10::intrusive_ptr<c10::StorageImpl>()};
  const void* data_ = nullptr;
  uint32_t version_ = 0;
};

}  // namespace antiphon::nn
