// The projectors of VILA and NVILA (Lin et al. 2023; NVlabs/VILA: llava/model/multimodal_projector/base_projector.py,
// mlp_downsample, mlp_downsample_2x2_fix and mlp_downsample_3x3_fix): squares of patches become one vector, then norm
// and MLP. Odd grids are filled with zeros.
#include <ATen/ATen.h>

#include <antiphon/component/connector.h>
#include <antiphon/component/register.h>
#include <antiphon/nn/activation.h>
#include <antiphon/nn/linear/linear.h>
#include <antiphon/nn/norm.h>
#include <antiphon/nn/space_to_depth.h>
#include <antiphon/plugin/manifest.h>

namespace antiphon::downsample_mlp {

struct DownsampleMlpOptions {
  int64_t factor = 2;
  bool column_major = false;
};

const config::Table<DownsampleMlpOptions>& downsample_mlp_table() {
  using O = DownsampleMlpOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("downsample_mlp")
          .field("factor", &O::factor, "edge of the squares: 2 (two linear layers) or 3 (three)", {.min = 2, .max = 3})
          .field("column_major", &O::column_major,
                 "tokens go down the columns, as in files from before VILA's mlp_downsample had them in rows"));
  return *table;
}

// Parameters, by their places in VILA's list: layers.1 (a norm), layers.2 and layers.4; with factor 3: layers.1,
// layers.2, layers.4 (a norm), layers.5 and layers.7.
class DownsampleMlp : public Connector, private Module {
 public:
  DownsampleMlp(const DownsampleMlpOptions& options, ConnectorShape shape)
      : options_(options),
        norm1_(nn::NormKind::layer, shape.input_size * options.factor * options.factor, 1e-5),
        norm2_(nn::NormKind::layer, middle(options, shape), 1e-5),
        fc1_(shape.input_size * options.factor * options.factor, middle(options, shape), true),
        fc2_(middle(options, shape), shape.output_size, true),
        fc3_(shape.output_size, shape.output_size, true) {
    const bool three = options.factor == 3;
    add("layers.1", norm1_);
    add("layers.2", fc1_);
    if (three) add("layers.4", norm2_);
    add(three ? "layers.5" : "layers.4", fc2_);
    if (three) add("layers.7", fc3_);
  }

  TokenGrid output_grid(const TokenGrid& input) const override {
    const auto grid = nn::squares(input, options_.factor);
    return options_.column_major ? TokenGrid{grid.columns, grid.rows} : grid;
  }

  at::Tensor arrange(const at::Tensor& features, const TokenGrid& grid) const override {
    const auto x = nn::space_to_depth(features, grid, options_.factor);
    if (!options_.column_major) return x;
    const auto out = nn::squares(grid, options_.factor);
    return x.view({x.size(0), out.rows, out.columns, -1}).transpose(1, 2).flatten(1, 2);
  }

  at::Tensor project(const at::Tensor& rows) override {
    const auto x = nn::activate("gelu", fc1_.forward(norm1_.forward(rows)));
    if (options_.factor == 2) return fc2_.forward(x);
    return fc3_.forward(nn::activate("gelu", fc2_.forward(norm2_.forward(x))));
  }

  Module& module() override { return *this; }

 private:
  static int64_t middle(const DownsampleMlpOptions& options, ConnectorShape shape) {
    return options.factor == 3 ? 3 * shape.input_size : shape.output_size;
  }
  DownsampleMlpOptions options_;
  nn::Norm norm1_, norm2_;
  nn::Linear fc1_, fc2_, fc3_;
};

}  // namespace antiphon::downsample_mlp

ANTIPHON_PLUGIN(downsample_mlp, "0.1.0") {
  using namespace antiphon::downsample_mlp;
  antiphon::register_component<antiphon::Connector, DownsampleMlp>(
      registrar, "downsample_mlp", "2 x 2 or 3 x 3 patches become one vector (VILA)", downsample_mlp_table());
}
