// The rate of sounds that a model takes.
#pragma once
#include <antiphon/model/multimodal_lm.h>

namespace antiphon::model {

// Samples a second that its stream of sounds wants; 0 if it has none.
inline int64_t sound_rate(const MultimodalLm& model) {
  for (const auto& [name, stream] : model.streams())
    if (stream->modality() == Modality::audio) return model.stream_for(Modality::audio).sample_rate();
  return 0;
}

}  // namespace antiphon::model
