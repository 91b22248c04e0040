// DINOv2 vision transformer (Oquab et al. 2023; transformers: models/dinov2/modeling_dinov2.py).
#pragma once
#include <antiphon/component/register.h>
#include <antiphon/media/resize.h>
#include <antiphon/nn/encoder_layer.h>

#include <memory>

namespace antiphon::dinov2 {

struct Dinov2Options {
  int64_t hidden_size = 768, num_layers = 12, num_heads = 12, mlp_ratio = 4;
  int64_t image_size = 518, patch_size = 14;
  double layer_norm_eps = 1e-6;
  std::string activation = "gelu";
  int64_t layer = -1;
  bool class_token = false;
  std::string fit = "crop";
  int64_t shortest_edge = 256, input_size = 224;
  int64_t resample = 3;
  std::vector<double> mean = {0.485, 0.456, 0.406}, std = {0.229, 0.224, 0.225};

  void read_pretrained(const PretrainedConfig& pretrained);
};
const config::Table<Dinov2Options>& dinov2_table();

class Dinov2 : public Encoder, private Module {
 public:
  explicit Dinov2(const Dinov2Options& options);
  Modality modality() const override { return Modality::image; }
  int64_t output_size() const override { return options_.hidden_size; }
  std::vector<at::Tensor> process(const MediaItem& item) const override;
  std::vector<int64_t> example_shape() const override { return {3, options_.input_size, options_.input_size}; }
  TokenGrid output_grid(at::IntArrayRef part_shape) const override;
  at::Tensor forward(const at::Tensor& parts) override;
  Module& module() override { return *this; }
  NameMap name_map() const override;

 private:
  at::Tensor embed(const at::Tensor& parts) const;
  at::Tensor position_embedding(int64_t rows, int64_t columns) const;
  bool last_layer() const { return layers_used_ == options_.num_layers && options_.layer == -1; }

  Dinov2Options options_;
  int64_t layers_used_;
  at::Tensor class_token_, position_embedding_, patch_weight_, patch_bias_;
  std::vector<std::unique_ptr<nn::EncoderLayer>> layers_;
  std::unique_ptr<nn::Norm> norm_;
};

}  // namespace antiphon::dinov2
