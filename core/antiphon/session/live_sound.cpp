#include <antiphon/session/live_sound.h>

#include <c10/core/InferenceMode.h>
#include <fmt/format.h>

#include <algorithm>

namespace antiphon::session {

LiveSound::LiveSound(model::MultimodalLm& model, std::string name)
    : model_(model),
      stream_(*model.streams().at(model.stream_for(Modality::audio).name())),
      name_(std::move(name)),
      chunking_(stream_.chunking()),
      sound_{Modality::audio, {}, {stream_.sample_rate(), {}}},
      samples_(sound_.audio.samples) {}

void LiveSound::add(std::span<const float> samples) { samples_.insert(samples_.end(), samples.begin(), samples.end()); }

void LiveSound::close() {
  if (end_ >= 0) samples_.resize(static_cast<size_t>(std::min(end_, samples())));
  end_ = samples();
}

// Samples that will be part of it, whatever comes.
int64_t LiveSound::known() const { return end_ >= 0 ? std::min(end_, samples()) : samples(); }

// Features of the samples from `begin`, a chunk's, to `end`, which see the context before.
std::vector<at::Tensor> LiveSound::encode(int64_t begin, int64_t end) {
  c10::InferenceMode inference;
  const int64_t from = std::max<int64_t>(0, begin - chunking_.context);
  MediaItem own{Modality::audio, {}, {sound_.audio.sample_rate, {samples_.begin() + from, samples_.begin() + end}}};
  auto item = stream_.process(own);
  for (auto& inputs : item.inputs)
    if (chunking_.samples > 0) inputs = {inputs.back()};
  stream_.encode({&item}, model_.compute_dtype(), model_.device());
  return std::move(item.features);
}

bool LiveSound::encode_chunk() {
  if (chunking_.samples == 0 || encoded_ + chunking_.samples > known()) return false;
  chunks_.push_back(encode(encoded_, encoded_ + chunking_.samples).front());
  encoded_ += chunking_.samples;
  return true;
}

model::BatchMedia LiveSound::media() {
  while (encode_chunk()) {
  }
  auto features = chunks_;
  if (end_has_come() && known() > encoded_) {
    if (std::exchange(tail_end_, known()) != known()) tail_ = encode(encoded_, known());
    features.insert(features.end(), tail_.begin(), tail_.end());
  }
  model::BatchMedia media;
  media.stream = stream_.name(), media.sample_id = name_, media.content = fmt::format("{}:{}", name_, known());
  if (features.empty()) return media;
  for (size_t k = 0; k < features.size(); ++k)
    media.part_contents.push_back(k < chunks_.size() ? fmt::format("{}:{}", name_, k)
                                                     : fmt::format("{}:{}:{}", name_, known(), k));
  media.item = stream_.from_features(std::move(features), {});
  return media;
}

}  // namespace antiphon::session
