// A sound that is still arriving, encoded chunk by chunk. Once it has ended, its result is that of the whole sound.
#pragma once
#include <span>
#include <vector>

#include <antiphon/model/multimodal_lm.h>

namespace antiphon::session {

class LiveSound {
 public:
  // `name` tells its parts from those of other sounds of a conversation.
  LiveSound(model::MultimodalLm& model, std::string name);

  void add(std::span<const float> samples);
  // Where the sound would end if nothing more came, in samples. Without an end it goes on.
  void set_end(int64_t samples) { end_ = samples; }
  void clear_end() { end_ = -1; }
  int64_t samples() const { return static_cast<int64_t>(samples_.size()); }
  bool end_has_come() const { return end_ >= 0 && samples() >= end_; }
  // Cuts it at its end.
  void close();

  // Encodes one chunk that is whole and not encoded yet; false if there is none.
  bool encode_chunk();
  // What is there: the chunks that are encoded and, once the end has come, the rest, which is encoded now. Nothing to
  // give (item.tokens = 0) if no chunk is whole yet.
  model::BatchMedia media();
  const MediaItem& sound() const { return sound_; }

 private:
  int64_t known() const;
  std::vector<at::Tensor> encode(int64_t begin, int64_t end);
  model::MultimodalLm& model_;
  model::Stream& stream_;
  std::string name_;
  Chunking chunking_;
  MediaItem sound_;
  std::vector<float>& samples_;
  int64_t end_ = -1, encoded_ = 0, tail_end_ = -1;
  std::vector<at::Tensor> chunks_, tail_;
};

}  // namespace antiphon::session
