// Generated media for encoders: the same at each call.
#pragma once
#include <antiphon/component/encoder.h>

namespace antiphon::apps::conformance {

struct NamedMedia {
  std::string name;  // for messages: "image 37 x 200"
  MediaItem item;
};

// Images of 1 x 1, 37 x 200, 200 x 37, a long strip, a grey one; sounds of 10 ms, 1 s, 35 s at this rate.
std::vector<NamedMedia> made_media(Modality modality, int64_t sample_rate);
MediaItem made_image(int64_t height, int64_t width, bool grey);
MediaItem made_sound(double seconds, int64_t sample_rate);

}  // namespace antiphon::apps::conformance
