// An image encoder: the image is cut into squares, each becomes one vector.
#pragma once
#include <antiphon/component/encoder.h>
#include <antiphon/component/pretrained.h>
#include <antiphon/nn/linear/linear.h>
#include <antiphon/nn/norm.h>

namespace patch_mean {

// The defaults stand here and nowhere else; patch_mean_table() gives each key its range and its words.
struct PatchMeanOptions {
  int64_t hidden_size = 64, image_size = 64, patch_size = 16;
};
const antiphon::config::Table<PatchMeanOptions>& patch_mean_table();

class PatchMean : public antiphon::Encoder, private antiphon::Module {
 public:
  explicit PatchMean(const PatchMeanOptions& options);
  antiphon::Modality modality() const override { return antiphon::Modality::image; }
  int64_t output_size() const override { return options_.hidden_size; }
  std::vector<at::Tensor> process(const antiphon::MediaItem& item) const override;
  std::vector<int64_t> example_shape() const override { return {3, options_.image_size, options_.image_size}; }
  antiphon::TokenGrid output_grid(at::IntArrayRef part_shape) const override;
  at::Tensor forward(const at::Tensor& parts) override;
  antiphon::Module& module() override { return *this; }
  antiphon::NameMap name_map() const override;

 private:
  PatchMeanOptions options_;
  antiphon::nn::Linear projection_;
  antiphon::nn::Norm norm_;
};

}  // namespace patch_mean
