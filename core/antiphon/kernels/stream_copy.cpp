#include <antiphon/kernels/stream_copy.h>

#include <ATen/ATen.h>

#include <antiphon/kernels/for_rows.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace antiphon::kernels {
namespace {

constexpr int64_t kLine = 64, kWorthIt = 1 << 20;  // bytes

// `to` is at the start of a cache line.
void stream_lines(char* to, const char* from, int64_t lines) {
#ifdef __SSE2__
  for (int64_t i = 0; i < lines; ++i, to += kLine, from += kLine) {
    __m128i quarter[4];
    for (int j = 0; j < 4; ++j) quarter[j] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from) + j);
    for (int j = 0; j < 4; ++j) _mm_stream_si128(reinterpret_cast<__m128i*>(to) + j, quarter[j]);
  }
  _mm_sfence();
#else
  std::memcpy(to, from, static_cast<size_t>(lines * kLine));
#endif
}

bool same_kind(const at::Tensor& to, const at::Tensor& from) {
  return to.is_cpu() && from.is_cpu() && to.scalar_type() == from.scalar_type() && to.sizes() == from.sizes() &&
         to.is_contiguous() && from.is_contiguous() && !from.is_conj() && !from.is_neg();
}

}  // namespace

void stream_copy(const at::Tensor& to, const at::Tensor& from) {
  const auto bytes = static_cast<int64_t>(from.nbytes());
  if (bytes < kWorthIt || !same_kind(to, from)) {
    to.copy_(from);
    return;
  }
  auto* target = static_cast<char*>(to.mutable_data_ptr());
  const auto* source = static_cast<const char*>(from.const_data_ptr());
  const auto unaligned = static_cast<int64_t>(reinterpret_cast<uintptr_t>(target) % kLine);
  const int64_t head = (kLine - unaligned) % kLine, lines = (bytes - head) / kLine, tail = head + lines * kLine;
  std::memcpy(target, source, static_cast<size_t>(head));
  share_rows(lines, kLine, [&](int64_t begin, int64_t end) {
    stream_lines(target + head + begin * kLine, source + head + begin * kLine, end - begin);
  });
  std::memcpy(target + tail, source + tail, static_cast<size_t>(bytes - tail));
}

}  // namespace antiphon::kernels
