#include <antiphon/text/jinja/heap.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include <fmt/format.h>

namespace antiphon::text::jinja {
namespace {

constexpr size_t chunk_bytes = 64 << 10, alignment = 16;
constexpr uint64_t steps_between_checks = 4096;

}  // namespace

void fail_template(std::string message) { throw Problem{Cause::failed, std::move(message)}; }
void fail_limit(std::string message) { throw Problem{Cause::limit, std::move(message)}; }

Heap::Heap(const Limits& limits) : limits_(limits), deadline_(std::chrono::steady_clock::now() + limits.time) {}

void Heap::check() {
  if (steps_ > limits_.steps) fail_limit(fmt::format("runs too long (more than {} steps)", limits_.steps));
  if (std::chrono::steady_clock::now() > deadline_)
    fail_limit(fmt::format("runs too long (more than {} ms)", limits_.time.count()));
  next_check_ = std::min(steps_ + steps_between_checks, limits_.steps + 1);
}

void Heap::too_deep() { fail_limit(fmt::format("nests too deep (more than {} levels)", limits_.depth)); }

void Heap::charge(size_t bytes) {
  bytes_ += bytes;
  if (bytes > limits_.bytes || bytes_ > limits_.bytes)
    fail_limit(fmt::format("makes too much (more than {} bytes of values)", limits_.bytes));
}

char* Heap::take(size_t bytes) {
  charge(bytes);
  work(bytes);
  bytes = (bytes + alignment - 1) / alignment * alignment;
  if (bytes > left_) {
    if (bytes > chunk_bytes / 4) return chunks_.emplace_back(new char[bytes]).get();
    free_ = chunks_.emplace_back(new char[chunk_bytes]).get();
    left_ = chunk_bytes;
  }
  left_ -= bytes;
  return std::exchange(free_, free_ + bytes);
}

std::string_view Heap::copy(std::string_view text) {
  if (text.empty()) return {};
  char* bytes = take(text.size());
  std::memcpy(bytes, text.data(), text.size());
  return {bytes, text.size()};
}

}  // namespace antiphon::text::jinja
