// Squares of patches become one vector ("pixel shuffle"), then a projection: with norm and two layers as in InternVL
// (Chen et al. 2024; transformers: models/internvl), with one layer as in Idefics3 and SmolVLM (models/idefics3), with
// a norm before they are joined as in the mergers of Qwen2-VL and Qwen2.5-VL (models/qwen2_vl, models/qwen2_5_vl), and
// with a norm and layers of their own for each block that the encoder taps, as in Qwen3-VL (models/qwen3_vl).
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
  int64_t factor = 2, depth = 2, hidden_size = 0, taps = 0;
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
          .field("bias", &O::bias, "biases in the linear layers")
          .field(
              "taps", &O::taps,
              "blocks whose vectors the encoder gives after those of the last, each of which becomes a vector to add "
              "after a layer of the language model; their norms are of joined vectors",
              {.min = 0, .max = 1000}));
  return *table;
}

// Of the encoder's vectors of one block. Parameters: norm, layers.N.
class Merger : public Module {
 public:
  Merger(const PixelShuffleOptions& o, int64_t width, int64_t output_size, bool norm_first)
      : norm_first_(norm_first),
        mlp_(width * o.factor * o.factor, o.hidden_size ? o.hidden_size : output_size, output_size, o.depth,
             o.activation, o.bias) {
    if (o.norm != "none") {
      const auto kind = o.norm == "rms_norm" ? nn::NormKind::rms : nn::NormKind::layer;
      norm_ = std::make_unique<nn::Norm>(kind, width * (norm_first ? 1 : o.factor * o.factor), o.norm_eps);
      add("norm", *norm_);
    }
    add("layers", mlp_);
  }
  at::Tensor before(const at::Tensor& x) const { return norm_ && norm_first_ ? norm_->forward(x) : x; }
  at::Tensor after(const at::Tensor& x) const { return mlp_.forward(norm_ && !norm_first_ ? norm_->forward(x) : x); }

 private:
  bool norm_first_;
  std::unique_ptr<nn::Norm> norm_;
  nn::Mlp mlp_;
};

// Parameters: those of the last block's merger, and taps.I with those of the others.
class PixelShuffle : public Connector, private Module {
 public:
  PixelShuffle(const PixelShuffleOptions& options, ConnectorShape shape) : factor_(options.factor) {
    if (shape.input_size % (1 + options.taps) != 0)
      fail(ErrorKind::config,
           fmt::format("pixel_shuffle: vectors of {} values are not those of {} blocks", shape.input_size,
                       1 + options.taps),
           "set taps to as many as the encoder has");
    width_ = shape.input_size / (1 + options.taps);
    for (int64_t i = 0; i <= options.taps; ++i) {
      const bool first = i == 0;
      mergers_.push_back(std::make_unique<Merger>(options, width_, shape.output_size, first && options.norm_first));
      add(first ? "" : fmt::format("taps.{}", i - 1), *mergers_.back());
    }
  }

  TokenGrid output_grid(const TokenGrid& input) const override {
    if (input.rows % factor_ != 0 || input.columns % factor_ != 0)
      fail(ErrorKind::config,
           fmt::format("pixel_shuffle: a grid of {} x {} cannot be cut into squares of {}", input.rows, input.columns,
                       factor_),
           "choose another factor or input_size, or downsample_mlp, which fills up");
    return nn::squares(input, factor_);
  }

  int64_t taps() const override { return std::ssize(mergers_) - 1; }

  at::Tensor arrange(const at::Tensor& features, const TokenGrid& grid) const override {
    return each(features, width_, [&](const Merger& merger, const at::Tensor& x) {
      return nn::space_to_depth(merger.before(x), grid, factor_);
    });
  }

  at::Tensor project(const at::Tensor& rows) override {
    return each(rows, width_ * factor_ * factor_,
                [](const Merger& merger, const at::Tensor& x) { return merger.after(x); });
  }

  Module& module() override { return *this; }

 private:
  // Through each merger what is its own of x [..., mergers * width].
  template <class Part>
  at::Tensor each(const at::Tensor& x, int64_t width, const Part& part) const {
    if (mergers_.size() == 1) return part(*mergers_.front(), x);
    std::vector<at::Tensor> parts;
    for (size_t i = 0; i < mergers_.size(); ++i)
      parts.push_back(part(*mergers_[i], x.narrow(-1, static_cast<int64_t>(i) * width, width).contiguous()));
    return at::cat(parts, -1);
  }

  int64_t factor_, width_ = 0;
  std::vector<std::unique_ptr<Merger>> mergers_;
};

}  // namespace antiphon::pixel_shuffle

ANTIPHON_PLUGIN(pixel_shuffle, "0.1.0") {
  using namespace antiphon::pixel_shuffle;
  antiphon::register_component<antiphon::Connector, PixelShuffle>(
      registrar, "pixel_shuffle", "squares of patches become one vector", pixel_shuffle_table());
}
