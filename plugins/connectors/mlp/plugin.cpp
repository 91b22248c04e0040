// The projector of LLaVA-1.5 (Liu et al. 2023, "mlp2x_gelu" at depth 2), with an optional norm and pooling before it.
#include <ATen/ATen.h>

#include <antiphon/component/connector.h>
#include <antiphon/component/register.h>
#include <antiphon/nn/activation.h>
#include <antiphon/nn/blocks/mlp.h>
#include <antiphon/nn/norm.h>
#include <antiphon/plugin/manifest.h>

namespace antiphon::mlp {

struct MlpOptions {
  int64_t depth = 2, hidden_size = 0, pool = 1;
  std::string activation = "gelu", norm = "none";
};

const config::Table<MlpOptions>& mlp_table() {
  using O = MlpOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("mlp")
          .field("depth", &O::depth, "linear layers", {.min = 1, .max = 16})
          .field("hidden_size", &O::hidden_size, "width between them; 0: the language model's", {.min = 0})
          .field("activation", &O::activation, "between the layers", {.choices = nn::activation_names()})
          .field("norm", &O::norm, "of the encoder's vectors", {.choices = {"none", "layer_norm"}})
          .field("pool", &O::pool,
                 "an image's grid is averaged over pool x pool squares, a sequence over runs of pool; cut short at the "
                 "far edge",
                 {.min = 1, .max = 64}));
  return *table;
}

int64_t pooled(int64_t size, int64_t by) { return (size + by - 1) / by; }

class MlpConnector : public Connector, private Module {
 public:
  MlpConnector(const MlpOptions& options, ConnectorShape shape)
      : options_(options),
        mlp_(shape.input_size, options.hidden_size ? options.hidden_size : shape.output_size, shape.output_size,
             options.depth, options.activation) {
    if (options.norm == "layer_norm") {
      norm_ = std::make_unique<nn::Norm>(nn::NormKind::layer, shape.input_size, 1e-5);
      add("norm", *norm_);
    }
    add("layers", mlp_);
  }

  TokenGrid output_grid(const TokenGrid& input) const override {
    return {input.rows == 1 ? 1 : pooled(input.rows, options_.pool), pooled(input.columns, options_.pool)};
  }

  at::Tensor arrange(const at::Tensor& features, const TokenGrid& grid) const override {
    const auto x = norm_ ? norm_->forward(features) : features;
    return options_.pool > 1 ? pool(x, grid) : x;
  }

  at::Tensor project(const at::Tensor& rows) override { return mlp_.forward(rows); }

  Module& module() override { return *this; }

 private:
  at::Tensor pool(const at::Tensor& x, const TokenGrid& grid) const {
    const std::vector<int64_t> window{grid.rows == 1 ? 1 : options_.pool, options_.pool};
    const auto image = x.transpose(1, 2).reshape({x.size(0), x.size(2), grid.rows, grid.columns});
    return at::avg_pool2d(image, window, window, 0, /*ceil_mode=*/true, /*count_include_pad=*/false)
        .flatten(2)
        .transpose(1, 2);
  }

  MlpOptions options_;
  std::unique_ptr<nn::Norm> norm_;
  nn::Mlp mlp_;
};

}  // namespace antiphon::mlp

ANTIPHON_PLUGIN(mlp, "0.1.0") {
  using namespace antiphon::mlp;
  antiphon::register_component<antiphon::Connector, MlpConnector>(
      registrar, "mlp", "linear layers with an activation between them", mlp_table());
}
