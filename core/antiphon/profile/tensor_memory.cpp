#include <antiphon/profile/tensor_memory.h>

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>

#include <atomic>
#include <mutex>
#include <unordered_map>

namespace antiphon::profile {
namespace {

std::atomic<int64_t> now{0}, most{0};
thread_local bool counts = true;

void add(int64_t bytes) {
  const auto after = now.fetch_add(bytes) + bytes;
  auto before = most.load();
  while (after > before && !most.compare_exchange_weak(before, after)) {
  }
}

int64_t rounded(size_t n, int64_t unit) { return (static_cast<int64_t>(n) + unit - 1) / unit * unit; }

class CountingMeta : public c10::Allocator {
 public:
  explicit CountingMeta(int64_t unit) : unit_(unit) {}
  at::DataPtr allocate(size_t n) override {
    auto* bytes = new int64_t(rounded(n, unit_));
    add(*bytes);
    const auto give_back = [](void* context) {
      auto* counted = static_cast<int64_t*>(context);
      add(-*counted);
      delete counted;
    };
    return {nullptr, bytes, give_back, c10::kMeta};
  }
  void copy_data(void*, const void*, size_t) const override {}

 private:
  int64_t unit_;
};

// oneDNN wants raw memory, of which nothing but its address comes back; so sizes are kept here.
class CountingCpu : public c10::Allocator {
 public:
  CountingCpu(c10::Allocator* below, int64_t unit) : below_(below), unit_(unit) { own_ = this; }
  at::DataPtr allocate(size_t n) override {
    void* memory = below_->raw_allocate(n);
    if (memory && counts) {
      const auto bytes = rounded(n, unit_);
      add(bytes);
      const std::lock_guard lock(mutex_);
      bytes_[memory] = bytes;
    }
    return {memory, memory, &give_back, c10::kCPU};
  }
  at::DeleterFnPtr raw_deleter() const override { return &give_back; }
  void copy_data(void* to, const void* from, size_t count) const override { below_->copy_data(to, from, count); }

 private:
  static void give_back(void* memory) {
    if (!memory) return;
    {
      const std::lock_guard lock(own_->mutex_);
      const auto counted = own_->bytes_.extract(memory);
      if (!counted.empty()) add(-counted.mapped());  // else oneDNN took it before memory was counted
    }
    own_->below_->raw_deallocate(memory);
  }
  static inline CountingCpu* own_ = nullptr;
  c10::Allocator* below_;
  int64_t unit_;
  std::mutex mutex_;
  std::unordered_map<void*, int64_t> bytes_;
};

}  // namespace

// Never taken back: tensors that it made may outlive everything.
void count_tensors(c10::DeviceType type, int64_t unit) {
  static std::atomic<bool> counts{false};
  if (counts.exchange(true)) return;
  constexpr uint8_t kPriority = 100;
  if (type == c10::kMeta)
    c10::SetAllocator(type, new CountingMeta(unit), kPriority);
  else
    c10::SetAllocator(type, new CountingCpu(c10::GetAllocator(type), unit), kPriority);
}

NotCounted::NotCounted() { counts = false; }

NotCounted::~NotCounted() { counts = true; }

TensorMemory tensor_memory() { return {now, most}; }

void forget_most() { most = now.load(); }

}  // namespace antiphon::profile
