// Frames are computed in blocks, and silence after the clip not at all: neither may show in the result.
#include <ATen/ATen.h>

#include <antiphon/media/audio/log_mel.h>

#include <catch2/catch_test_macros.hpp>

using antiphon::media::kLogMelHop;
using antiphon::media::log_mel;

namespace {

std::vector<float> noise(int64_t samples) {
  const at::Tensor values = at::randn({samples}).mul_(0.1);
  return {values.const_data_ptr<float>(), values.const_data_ptr<float>() + samples};
}

}  // namespace

TEST_CASE("silence that is asked for is that which is given") {
  at::manual_seed(1);
  for (const int64_t samples : {1, 159, 160, 361, 4000, 10240, 31840, 31999, 32000}) {
    const auto clip = noise(samples);
    auto longer = clip;
    longer.resize(32000);
    CHECK(at::equal(log_mel(clip, {.samples = 32000}), log_mel(longer)));
  }
  CHECK(at::equal(log_mel({}, {.samples = 800}), log_mel(std::vector<float>(800))));
}

TEST_CASE("a frame is the same wherever its block begins") {
  at::manual_seed(1);
  const auto clip = noise(200 * kLogMelHop);
  const at::Tensor whole = log_mel(clip);
  for (const int64_t frames : {1, 15, 16, 17, 63, 64, 65, 130}) {
    const at::Tensor later = log_mel(std::span(clip).subspan(static_cast<size_t>(frames * kLogMelHop)));
    CHECK(at::allclose(later.slice(1, 2, -2), whole.slice(1, frames + 2, -2), 1e-5, 1e-5));
  }
}
