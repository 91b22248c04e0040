// A video as a model sees it: some of its frames as images, and its sound.
#pragma once
#include <map>
#include <string>
#include <vector>

#include <antiphon/component/sample.h>
#include <antiphon/data/options.h>
#include <antiphon/media/limits.h>
#include <antiphon/model/multimodal_lm.h>

namespace antiphon::data {

bool has_video(const Sample& sample);

// Videos by MediaBytes::key() as what they become.
using Expansions = std::map<std::string, std::vector<MediaRef>>;

// Each video part becomes parts that are already decoded: frames, then the sound if the file has one and the model a
// stream for it; interleaved, each frame stands between the sound before and after it. Videos in
// `known` are not read again, and others are added. Error(data) names the file.
Sample expand_videos(const Sample& sample, const VideoSampling& sampling, const model::MultimodalLm& model,
                     const media::MediaLimits& limits, Expansions* known = nullptr);

}  // namespace antiphon::data
