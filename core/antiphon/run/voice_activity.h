// The detector of [session.vad], built and loaded; nullptr if none is configured.
#pragma once
#include <memory>

#include <antiphon/component/voice_activity.h>
#include <antiphon/model/model_spec.h>

namespace antiphon::run {

// On the meta device, to check its options; those in force are written back. Error(config) with all problems.
std::unique_ptr<VoiceActivity> build_voice_activity(model::ComponentSpec& spec);
// With its weights. Error(config) if none are named.
std::unique_ptr<VoiceActivity> open_voice_activity(model::ComponentSpec spec);

}  // namespace antiphon::run
