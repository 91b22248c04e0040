// Conformer blocks between a speech encoder and the language model: the "fc" modality adapter of NeMo's SALM (Chen et
// al. 2023; NeMo: examples/speechlm/conf/salm), a ConformerEncoder of two layers with subsampling factor 1.
#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/component/register.h>
#include <antiphon/nn/conformer.h>
#include <antiphon/plugin/manifest.h>

#include <cmath>
#include <memory>

namespace antiphon::conformer {

struct ConformerConnectorOptions {
  int64_t hidden_size = 512, num_layers = 2, num_heads = 8, mlp_ratio = 4, kernel_size = 9;
  bool scale_input = true;
};

const config::Table<ConformerConnectorOptions>& conformer_table() {
  using O = ConformerConnectorOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("conformer")
          .field("hidden_size", &O::hidden_size, "width of the blocks", {.min = 2})
          .field("num_layers", &O::num_layers, "blocks", {.min = 1, .max = 64})
          .field("num_heads", &O::num_heads, "attention heads", {.min = 1})
          .field("mlp_ratio", &O::mlp_ratio, "width of the feed-forwards in units of hidden_size", {.min = 1})
          .field("kernel_size", &O::kernel_size, "vectors that the depthwise convolution sees; odd", {.min = 1})
          .field("scale_input", &O::scale_input, "multiply what enters the blocks by sqrt(hidden_size)"));
  return *table;
}

void check(const ConformerConnectorOptions& o) {
  if (o.hidden_size % o.num_heads != 0 || o.hidden_size % 2 != 0 || o.kernel_size % 2 == 0)
    fail(ErrorKind::config,
         fmt::format("conformer: hidden_size = {} must be even and a multiple of num_heads = {}, kernel_size = {} odd",
                     o.hidden_size, o.num_heads, o.kernel_size));
}

// Parameters: in_proj, layers.N (see nn::ConformerBlock), out_proj. The norm within the convolutions is over the width:
// blocks that start afresh have no running statistics.
class ConformerConnector : public Connector, private Module {
 public:
  ConformerConnector(const ConformerConnectorOptions& options, ConnectorShape shape)
      : options_((check(options), options)),
        in_proj_(shape.input_size, options.hidden_size, true),
        out_proj_(options.hidden_size, shape.output_size, true) {
    nn::ConformerOptions block;
    block.hidden_size = options.hidden_size, block.intermediate_size = options.hidden_size * options.mlp_ratio;
    block.num_heads = options.num_heads, block.kernel_size = options.kernel_size;
    block.convolution_norm = nn::ConformerOptions::Normalization::layer;
    add("in_proj", in_proj_);
    for (int64_t i = 0; i < options.num_layers; ++i) {
      layers_.push_back(std::make_unique<nn::ConformerBlock>(block));
      add(fmt::format("layers.{}", i), *layers_.back());
    }
    add("out_proj", out_proj_);
  }

  TokenGrid output_grid(const TokenGrid& input) const override { return input; }

  at::Tensor arrange(const at::Tensor& features, const TokenGrid&) const override {
    auto x = in_proj_.forward(features);
    if (options_.scale_input) x = x * std::sqrt(static_cast<double>(options_.hidden_size));
    const auto positions = nn::relative_positions(x.size(1), options_.hidden_size, x);
    for (const auto& layer : layers_) x = layer->forward(x, positions);
    return x;
  }

  at::Tensor project(const at::Tensor& rows) override { return out_proj_.forward(rows); }

  Module& module() override { return *this; }

 private:
  ConformerConnectorOptions options_;
  nn::Linear in_proj_, out_proj_;
  std::vector<std::unique_ptr<nn::ConformerBlock>> layers_;
};

}  // namespace antiphon::conformer

ANTIPHON_PLUGIN(conformer, "0.1.0") {
  using namespace antiphon::conformer;
  antiphon::register_connector<ConformerConnector>(registrar, "conformer", "Conformer blocks (SALM's fc adapter)",
                                                   conformer_table());
}
