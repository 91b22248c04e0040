// Limits of a rendering, and the memory that its values live in: nothing is freed before the rendering ends, so one
// limit bounds both what is allocated and what is held.
#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace antiphon::text::jinja {

enum class Cause { malformed, failed, limit, refused };

// Thrown by everything here; not a std::exception. `line` is the template's, 0 if unknown.
struct Problem {
  Cause cause;
  std::string message;
  int line = 0;
};
[[noreturn]] void fail_template(std::string message);  // Cause::failed
[[noreturn]] void fail_limit(std::string message);     // Cause::limit

struct Limits {
  uint64_t steps = 2'000'000;  // a node, a loop iteration, a comparison, or 16 bytes read
  uint64_t bytes = 32 << 20;   // of all values together
  size_t output = 1 << 20;
  int depth = 800;        // of nodes being evaluated
  int value_depth = 100;  // of lists within lists that are printed or compared
  std::chrono::milliseconds time{2000};
};

class Heap {
 public:
  explicit Heap(const Limits& limits);
  Heap(const Heap&) = delete;
  Heap& operator=(const Heap&) = delete;

  void step(uint64_t count = 1) {
    steps_ += count;
    if (steps_ >= next_check_) check();
  }
  void work(size_t bytes) { step(bytes / 16); }
  // Counts bytes that live elsewhere.
  void charge(size_t bytes);
  char* take(size_t bytes);
  const Limits& limits() const { return limits_; }

  template <class T>
  T* make(T value) {
    static_assert(std::is_trivially_destructible_v<T>);
    return new (take(sizeof(T))) T(value);
  }
  template <class T>
  std::span<T> array(size_t count) {
    static_assert(std::is_trivially_destructible_v<T>);
    if (count > limits_.bytes / sizeof(T)) charge(limits_.bytes + 1);
    auto* first = reinterpret_cast<T*>(take(count * sizeof(T)));
    std::uninitialized_default_construct_n(first, count);
    return {first, count};
  }
  std::string_view copy(std::string_view text);

  // One level of recursion.
  class Level {
   public:
    explicit Level(Heap& heap) : heap_(heap) {
      if (++heap_.depth_ > heap_.limits_.depth) heap_.too_deep();
    }
    ~Level() { --heap_.depth_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    Heap& heap_;
  };

 private:
  void check();
  [[noreturn]] void too_deep();
  Limits limits_;
  uint64_t steps_ = 0, next_check_ = 0, bytes_ = 0;
  int depth_ = 0;
  std::chrono::steady_clock::time_point deadline_;
  std::vector<std::unique_ptr<char[]>> chunks_;
  char* free_ = nullptr;
  size_t left_ = 0;
};

}  // namespace antiphon::text::jinja
