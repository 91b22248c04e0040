// A video as a model sees it: its frames as one medium or several, or as pictures, and its sound.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <antiphon/component/sample.h>
#include <antiphon/data/options.h>
#include <antiphon/media/limits.h>
#include <antiphon/model/multimodal_lm.h>

namespace antiphon::data {

// One that is not decoded yet.
bool has_video(const Sample& sample);

// A medium that a video becomes, and the text before it; or text alone.
struct ExpandedVideo {
  std::string text;
  std::optional<MediaRef> medium;
  bool within = false;  // a sound that stands among the embeddings of the medium before it (ContentPart::sound)
};

// Videos by stream and MediaBytes::key() as what they become.
using Expansions = std::map<std::string, std::vector<ExpandedVideo>>;

// Each video part becomes parts that are already decoded: what the encoder's VideoRule makes of it, or frames as
// pictures if it has none; then the sound if the file has one and the model a stream for it. Interleaved, each frame
// stands between the sound before and after it, or the sound among the embeddings of all frames if the VideoRule says
// so (sound_chunk()). `channel` of the sound, from 0 on; nothing: the mean of all. Videos in `known` are not read
// again, and others are added. Error(data) names the file.
Sample expand_videos(const Sample& sample, const VideoSampling& sampling, std::optional<int64_t> channel,
                     const model::MultimodalLm& model, const media::MediaLimits& limits, Expansions* known = nullptr);

}  // namespace antiphon::data
