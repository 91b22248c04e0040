// The encoder of Whisper (Radford et al. 2022; transformers: models/whisper/modeling_whisper.py) with its log-mel, and
// those of Qwen2-Audio (Chu et al. 2024; models/qwen2_audio), which is the same with pooling and masks, and of Voxtral
// (Liu et al. 2025; models/voxtral), which hears as many windows as a clip fills.
#pragma once
#include <antiphon/component/encoder.h>
#include <antiphon/component/pretrained.h>
#include <antiphon/media/audio/log_mel.h>
#include <antiphon/nn/blocks/encoder_layer.h>

#include <memory>
#include <span>

namespace antiphon::whisper {

struct WhisperOptions {
  int64_t hidden_size = 384, num_layers = 4, num_heads = 6, intermediate_size = 1536;
  int64_t num_mels = 80, max_positions = 1500;
  std::string activation = "gelu", length = "window";
  int64_t layer = -1, multiple = 1, pool = 1;
  double chunk = 0, left_context = 0;  // seconds

  void read_pretrained(const PretrainedConfig& pretrained);
};
const config::Table<WhisperOptions>& whisper_table();

class Whisper : public Encoder, private Module {
 public:
  explicit Whisper(const WhisperOptions& options);
  Modality modality() const override { return Modality::audio; }
  int64_t sample_rate() const override;
  int64_t output_size() const override { return options_.hidden_size; }
  std::vector<at::Tensor> process(const MediaItem& item) const override;
  Chunking chunking() const override;
  std::optional<Spectrogram> spectrogram() const override { return Spectrogram{0, 1, media::kLogMelHop}; }
  std::vector<int64_t> example_shape() const override;
  TokenGrid output_grid(at::IntArrayRef part_shape) const override;
  at::Tensor forward(const at::Tensor& parts) override;
  Module& module() override { return *this; }
  NameMap name_map() const override;

 private:
  void check_chunks() const;
  int64_t clip_vectors(int64_t samples) const;
  int64_t own_vectors(int64_t vectors) const;
  at::Tensor mel_of(std::span<const float> samples) const;
  std::vector<at::Tensor> windows_of_whole(std::span<const float> samples) const;
  WhisperOptions options_;
  int64_t layers_used_;
  Chunking chunking_;
  at::Tensor conv1_weight_, conv1_bias_, conv2_weight_, conv2_bias_, positions_;
  std::vector<std::unique_ptr<nn::EncoderLayer>> layers_;
  std::unique_ptr<nn::Norm> norm_;
};

}  // namespace antiphon::whisper
