// A video as a model sees it: some of its frames as pictures, and its sound.
#pragma once
#include <antiphon/config/schema.h>
#include <antiphon/data/sample.h>
#include <antiphon/graph/multimodal_lm.h>
#include <antiphon/media/limits.h>

namespace antiphon::data {

// The [data.video] part of a configuration.
struct VideoSampling {
  int64_t frames = 8;
  double frames_per_second = 0;
  bool sound = true, interleave = false;
};
const config::Table<VideoSampling>& video_table();

bool has_video(const Sample& sample);

// Each video part becomes parts that are decoded already: frames, then the sound where the file has one and the model a
// stream for it; interleaved, each frame stands between the sound before and after it. Error(data) names the file.
Sample expand_videos(const Sample& sample, const VideoSampling& sampling, const graph::MultimodalLm& model,
                     const media::MediaLimits& limits);

}  // namespace antiphon::data
