// The audio tower of Qwen2.5-Omni (Xu et al. 2025; transformers: models/qwen2_5_omni, Qwen2_5OmniAudioEncoder) up to
// its projection, which is a connector: Whisper's blocks over chunks of the spectrogram that do not see each other,
// then the mean of each two neighbours.
#pragma once
#include <antiphon/component/encoder.h>
#include <antiphon/component/pretrained.h>
#include <antiphon/media/audio/log_mel.h>
#include <antiphon/nn/blocks/encoder_layer.h>

#include <memory>
#include <span>

namespace antiphon::qwen2_5_omni_audio {

struct OmniAudioOptions {
  int64_t hidden_size = 1280, num_layers = 32, num_heads = 20, intermediate_size = 5120;
  int64_t num_mels = 128, n_window = 100, max_seconds = 300;
  std::string activation = "gelu";

  int64_t chunk() const { return 2 * n_window; }  // frames
  void read_pretrained(const PretrainedConfig& pretrained);
};
const config::Table<OmniAudioOptions>& omni_audio_table();

// Parts are [num_mels, frames] of at most max_seconds, at their true length.
class OmniAudio : public Encoder, private Module {
 public:
  explicit OmniAudio(const OmniAudioOptions& options);
  Modality modality() const override { return Modality::audio; }
  int64_t sample_rate() const override { return media::kLogMelSampleRate; }
  int64_t output_size() const override { return options_.hidden_size; }
  std::vector<at::Tensor> process(const MediaItem& item) const override;
  std::optional<Spectrogram> spectrogram() const override { return Spectrogram{0, 1, media::kLogMelHop}; }
  std::vector<int64_t> example_shape() const override;
  TokenGrid output_grid(at::IntArrayRef part_shape) const override;
  at::Tensor forward(const at::Tensor& parts) override;
  Module& module() override { return *this; }
  NameMap name_map() const override;

 private:
  at::Tensor mel_of(std::span<const float> samples) const;
  at::Tensor embed(const at::Tensor& frames_nmt) const;
  OmniAudioOptions options_;
  at::Tensor conv1_weight_, conv1_bias_, conv2_weight_, conv2_bias_, positions_td_;
  std::vector<std::unique_ptr<nn::EncoderLayer>> layers_;
  nn::Norm norm_;
};

}  // namespace antiphon::qwen2_5_omni_audio
