// FastConformer (Rekesh et al. 2023; transformers: models/parakeet/modeling_parakeet.py, ParakeetEncoder), the speech
// encoder of NeMo's Parakeet, with its log-mel.
#pragma once
#include <antiphon/component/encoder.h>
#include <antiphon/component/pretrained.h>
#include <antiphon/media/audio/log_mel.h>
#include <antiphon/nn/blocks/conformer.h>

#include <memory>

namespace antiphon::fastconformer {

struct FastConformerOptions {
  int64_t hidden_size = 1024, num_layers = 24, num_heads = 8, intermediate_size = 4096, kernel_size = 9;
  int64_t num_mels = 80, subsampling_factor = 8, subsampling_channels = 256;
  std::string activation = "silu";
  bool attention_bias = true, convolution_bias = true, scale_input = true;
  int64_t layer = -1;
  double window = 60.0;

  void read_pretrained(const PretrainedConfig& pretrained);
};
const config::Table<FastConformerOptions>& fastconformer_table();

// Convolutions of stride 2 over time and bands, until time is `factor` times shorter.
// Parameters: layers.N.{weight, bias}, numbered as in torch's list with its activations; linear.
class Subsampling : public Module {
 public:
  explicit Subsampling(const FastConformerOptions& options);
  at::Tensor forward(const at::Tensor& mels) const;  // [n, frames, mels] -> [n, length(frames), hidden_size]
  int64_t length(int64_t frames) const;

 private:
  struct Conv {
    at::Tensor weight, bias;
    int64_t stride = 1, groups = 1;
  };
  Conv& add_conv(size_t place, at::IntArrayRef shape, int64_t stride, int64_t groups);
  int64_t halvings_;
  std::vector<std::unique_ptr<Conv>> convs_;
  std::unique_ptr<nn::Linear> linear_;
};

class FastConformer : public Encoder, private Module {
 public:
  explicit FastConformer(const FastConformerOptions& options);
  Modality modality() const override { return Modality::audio; }
  int64_t sample_rate() const override { return 16000; }
  int64_t output_size() const override { return options_.hidden_size; }
  std::vector<at::Tensor> process(const MediaItem& item) const override;
  std::optional<Spectrogram> spectrogram() const override { return Spectrogram{1, 0, media::kLogMelHop}; }
  std::vector<int64_t> example_shape() const override { return {2 * options_.subsampling_factor, options_.num_mels}; }
  TokenGrid output_grid(at::IntArrayRef part_shape) const override;
  at::Tensor forward(const at::Tensor& parts) override;
  Module& module() override { return *this; }
  NameMap name_map() const override;

 private:
  FastConformerOptions options_;
  Subsampling subsampling_;
  std::vector<std::unique_ptr<nn::ConformerBlock>> layers_;
};

}  // namespace antiphon::fastconformer
