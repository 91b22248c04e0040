// A video as a model sees it: some of its frames as images, and its sound.
#pragma once
#include <antiphon/data/options.h>
#include <antiphon/data/sample.h>
#include <antiphon/media/limits.h>
#include <antiphon/model/multimodal_lm.h>

namespace antiphon::data {

bool has_video(const Sample& sample);

// Each video part becomes parts that are already decoded: frames, then the sound if the file has one and the model a
// stream for it; interleaved, each frame stands between the sound before and after it. Error(data) names the file.
Sample expand_videos(const Sample& sample, const VideoSampling& sampling, const model::MultimodalLm& model,
                     const media::MediaLimits& limits);

}  // namespace antiphon::data
