#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <antiphon/component/voice_activity.h>

#include "network.h"

namespace antiphon::apps::conformance {
namespace {

constexpr double tolerance = 1e-5;

at::Tensor windows(const VoiceActivity& detector, int64_t sounds, uint64_t seed) {
  return made({sounds, detector.context() + detector.window()}, seed) * 0.1;
}

void gives_probabilities(VoiceActivity& detector) {
  c10::AutoGradMode no_grad(false);
  expect(detector.sample_rate() > 0 && detector.window() > 0 && detector.context() >= 0,
         "expected a sample rate and a window, got {} Hz and {} samples", detector.sample_rate(), detector.window());
  at::Tensor state;
  for (const uint64_t seed : {1, 2, 3}) {
    const auto p = detector.forward(windows(detector, 2, seed), state);
    expect_shape(p, {2}, "one probability a sound");
    expect(p.min().item<double>() >= 0 && p.max().item<double>() <= 1, "expected probabilities, got {} to {}",
           p.min().item<double>(), p.max().item<double>());
  }
  expect(detector.forward(at::zeros_like(windows(detector, 1, 1)), state = at::Tensor()).isfinite().all().item<bool>(),
         "expected a probability for silence, got none");
}

// All that a sound's past does goes through the state, and sounds do not see each other.
void state_is_the_past(VoiceActivity& detector) {
  c10::AutoGradMode no_grad(false);
  at::Tensor together, apart, begun;
  const auto first = windows(detector, 2, 4), second = windows(detector, 2, 5);
  detector.forward(first, together);
  const auto p = detector.forward(second, together);
  detector.forward(first.narrow(0, 1, 1), apart);
  expect_close(detector.forward(second.narrow(0, 1, 1), apart), p.narrow(0, 1, 1), tolerance,
               "a sound alone against beside another");
  expect(!at::equal(detector.forward(second, begun), p), "expected the first window to matter for the second");
}

void refuses_wrong_windows(VoiceActivity& detector) {
  at::Tensor state;
  expect_error(ErrorKind::data, {}, [&] { detector.forward(at::zeros({1, 7}), state); });
}

Network network(const Subject& subject) {
  std::shared_ptr<VoiceActivity> detector = build<VoiceActivity>(subject);
  auto* used = detector.get();
  return {detector, &detector->module(), [used](at::ScalarType type) {
            at::Tensor state;
            used->forward(windows(*used, 3, 6).to(type), state);
            return used->forward(windows(*used, 3, 7).to(type), state);
          }};
}

void check_voice_activity(Report& report, const Subject& subject) {
  if (!check_options(report, subject, resolver<VoiceActivity>(subject))) return;
  const auto detector = build<VoiceActivity>(subject);
  if (!check_size(report, subject, detector->module())) return;
  start(detector->module(), 1);
  report.check("forward: probabilities, of silence too", [&] { gives_probabilities(*detector); });
  report.check("forward: the state holds a sound's past", [&] { state_is_the_past(*detector); });
  report.check("forward: windows of another length are refused", [&] { refuses_wrong_windows(*detector); });
  const MakeNetwork make = [&] { return network(subject); };
  check_network(report, make);
  check_name_map(report, make, detector->name_map());
}

const KindChecks registered{KindOf<VoiceActivity>::name, check_voice_activity};

}  // namespace
}  // namespace antiphon::apps::conformance
