// A video and its sound as one run of tokens, chunk by chunk of time: what is seen in a chunk, then what is heard in it
// (TMRoPE: Xu et al. 2025, Qwen2.5-Omni; transformers: models/qwen2_5_omni/processing_qwen2_5_omni.py).
#pragma once
#include <antiphon/model/stream.h>

namespace antiphon::model {

struct SoundMarks {
  int64_t begin = 0, end = 0;  // ids of the tokens before and after the run
};

// Gives both items the tokens that they share: each has its own embeddings there, and the video the marks. `chunk`:
// positions of a chunk (VideoRule::sound_chunk()); an embedding of the sound takes one, and parts of the video are
// part_step apart. Error(config) if there are tokens of text among the embeddings of either already, or if parts of the
// video do not stand one after the other.
void put_within(StreamItem& sound, StreamItem& video, int64_t chunk, const SoundMarks& marks);

}  // namespace antiphon::model
