// Squares of patches become one vector ("pixel shuffle"), then a projection: with norm and two layers as in InternVL
// (Chen et al. 2024; transformers: models/internvl), with one layer as in Idefics3 and SmolVLM (models/idefics3), with
// a norm before they are joined as in the mergers of Qwen2-VL and Qwen2.5-VL (models/qwen2_vl, models/qwen2_5_vl).
#include <fmt/format.h>

#include <ATen/ATen.h>

#include <antiphon/component/connector.h>
#include <antiphon/component/register.h>
#include <antiphon/nn/activation.h>
#include <antiphon/nn/blocks/mlp.h>
#include <antiphon/nn/norm.h>
#include <antiphon/nn/space_to_depth.h>
#include <antiphon/plugin/manifest.h>

namespace antiphon::pixel_shuffle {

struct PixelShuffleOptions {
  int64_t factor = 2, depth = 2, hidden_size = 0;
  std::string activation = "gelu", norm = "layer_norm";
  double norm_eps = 1e-5;
  bool norm_first = false, bias = true;
};

const config::Table<PixelShuffleOptions>& pixel_shuffle_table() {
  using O = PixelShuffleOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("pixel_shuffle")
          .field("factor", &O::factor, "edge of the squares; must divide the grid", {.min = 1, .max = 16})
          .field("depth", &O::depth, "linear layers", {.min = 1, .max = 16})
          .field("hidden_size", &O::hidden_size, "width between them; 0: the language model's", {.min = 0})
          .field("activation", &O::activation, "between the layers", {.choices = nn::activation_names()})
          .field("norm", &O::norm, "of the wide vectors", {.choices = {"none", "layer_norm", "rms_norm"}})
          .field("norm_first", &O::norm_first, "the norm is of the encoder's vectors, before they are joined")
          .field("norm_eps", &O::norm_eps, "epsilon of the norm", {.min = 0, .max = 1})
          .field("bias", &O::bias, "biases in the linear layers"));
  return *table;
}

// Parameters: norm, layers.N.
class PixelShuffle : public Connector, private Module {
 public:
  PixelShuffle(const PixelShuffleOptions& options, ConnectorShape shape)
      : factor_(options.factor),
        norm_first_(options.norm_first),
        mlp_(shape.input_size * factor_ * factor_, options.hidden_size ? options.hidden_size : shape.output_size,
             shape.output_size, options.depth, options.activation, options.bias) {
    if (options.norm != "none") {
      const auto kind = options.norm == "rms_norm" ? nn::NormKind::rms : nn::NormKind::layer;
      const int64_t width = shape.input_size * (norm_first_ ? 1 : factor_ * factor_);
      norm_ = std::make_unique<nn::Norm>(kind, width, options.norm_eps);
      add("norm", *norm_);
    }
    add("layers", mlp_);
  }

  TokenGrid output_grid(const TokenGrid& input) const override {
    if (input.rows % factor_ != 0 || input.columns % factor_ != 0)
      fail(ErrorKind::config,
           fmt::format("pixel_shuffle: a grid of {} x {} cannot be cut into squares of {}", input.rows, input.columns,
                       factor_),
           "choose another factor or input_size, or downsample_mlp, which fills up");
    return nn::squares(input, factor_);
  }

  at::Tensor arrange(const at::Tensor& features, const TokenGrid& grid) const override {
    return nn::space_to_depth(norm_ && norm_first_ ? norm_->forward(features) : features, grid, factor_);
  }

  at::Tensor project(const at::Tensor& rows) override {
    return mlp_.forward(norm_ && !norm_first_ ? norm_->forward(rows) : rows);
  }

  Module& module() override { return *this; }

 private:
  int64_t factor_;
  bool norm_first_;
  std::unique_ptr<nn::Norm> norm_;
  nn::Mlp mlp_;
};

}  // namespace antiphon::pixel_shuffle

ANTIPHON_PLUGIN(pixel_shuffle, "0.1.0") {
  using namespace antiphon::pixel_shuffle;
  antiphon::register_component<antiphon::Connector, PixelShuffle>(
      registrar, "pixel_shuffle", "squares of patches become one vector", pixel_shuffle_table());
}
