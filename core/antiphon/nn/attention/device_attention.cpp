#include <antiphon/nn/attention/device_attention.h>

#include <ATen/ATen.h>
#include <antiphon/kernels/ops.h>
#include <antiphon/kernels/shapes.h>
#include <antiphon/nn/attention/capped_attention.h>

#include <algorithm>
#include <functional>

namespace antiphon::nn {
namespace {

constexpr int64_t kLargestFlashHead = 256, kFlashHeadMultiple = 8;

// Where each sequence begins, and where the last one ends: [sequences + 1] int32 on the device. All layers of a batch
// ask for the same offsets, and a copy to the device synchronises; so the last result is kept (and leaked: no CUDA
// tensor may be freed at exit).
at::Tensor bounds_of(const std::vector<int64_t>& lengths, at::Device device) {
  struct Last {
    std::vector<int64_t> lengths;
    at::Tensor bounds;
  };
  thread_local auto* last = new Last;
  if (last->bounds.defined() && last->bounds.device() == device && last->lengths == lengths) return last->bounds;
  std::vector<int32_t> bounds{0};
  for (const auto length : lengths) bounds.push_back(bounds.back() + static_cast<int32_t>(length));
  *last = {lengths, at::tensor(bounds, at::kInt).to(device)};
  return last->bounds;
}

}  // namespace

bool fits_varlen_attention(const at::Tensor& q_thd, const std::vector<int64_t>& lengths, int64_t window) {
  if (q_thd.is_meta()) return kernels::uses_shapes();  // other kernels of a GPU allocate alike
  const int64_t head = q_thd.size(2);
  const bool half = q_thd.scalar_type() == at::kBFloat16 || q_thd.scalar_type() == at::kHalf;
  return q_thd.is_cuda() && half && head % kFlashHeadMultiple == 0 && head <= kLargestFlashHead && q_thd.size(0) > 0 &&
         (window > 0 || std::ranges::adjacent_find(lengths, std::not_equal_to()) != lengths.end());
}

at::Tensor varlen_attention(const at::Tensor& q_thd, const at::Tensor& k_thd, const at::Tensor& v_thd,
                            const std::vector<int64_t>& lengths, bool causal, int64_t window) {
  const auto bounds = bounds_of(lengths, q_thd.device());
  const int64_t longest = *std::max_element(lengths.begin(), lengths.end());
  std::optional<int64_t> left, right;
  if (causal && window) left = window - 1, right = 0;
  const auto out = at::_flash_attention_forward(q_thd, k_thd, v_thd, bounds, bounds, longest, longest, 0.0, causal,
                                                false, std::nullopt, left, right);
  return std::get<0>(out).reshape({q_thd.size(0), -1});
}

at::Tensor step_attention(const at::Tensor& q_thd, const at::Tensor& k_thd, const at::Tensor& v_thd,
                          const DecoderInput& input, size_t layer, const Sight& sight) {
  const auto &keys = input.cache->keys(layer), &values = input.cache->values(layer);
  kernels::append_kv(k_thd, v_thd, keys, values, input.slots_n);
  const auto y = sight.score_cap > 0
                     ? capped_decode_attention(q_thd, keys, values, input.blocks_nb, input.held_n, sight)
                     : kernels::decode_attention(q_thd, keys, values, input.blocks_nb, input.held_n, sight.window);
  return y.view({q_thd.size(0), -1});
}

}  // namespace antiphon::nn
