#include <antiphon/run/voice_activity.h>

#include <fmt/format.h>

#include <antiphon/base/log.h>
#include <antiphon/model/slot.h>
#include <antiphon/weights/load.h>

namespace antiphon::run {

std::unique_ptr<VoiceActivity> build_voice_activity(model::ComponentSpec& spec) {
  if (spec.plugin.empty()) return nullptr;
  config::Problems problems;
  auto detector =
      model::build_slot<VoiceActivity>(spec.plugin, {spec.weights, {}}, spec.options, "session.vad", problems);
  problems.throw_if_any();
  return detector;
}

std::unique_ptr<VoiceActivity> open_voice_activity(model::ComponentSpec spec) {
  auto detector = build_voice_activity(spec);
  if (!detector) return nullptr;
  if (spec.weights.empty())
    fail(ErrorKind::config, "[session.vad] names no weights", "give session.vad.weights: the detector's directory");
  detector->module().set_requires_grad(false);
  const auto report = with_context("loading session.vad", [&] {
    return weights::load_parameters(detector->module(), weights::Checkpoint(spec.weights), detector->name_map(),
                                    {.frozen_dtype = at::kFloat, .name = "session.vad"});
  });
  log::info(fmt::format("  session.vad: applied {}/{} tensors from {}", report.applied, report.total, spec.weights));
  return detector;
}

}  // namespace antiphon::run
