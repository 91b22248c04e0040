// The projector of Mistral Small 3.1 (transformers: models/mistral3, Mistral3MultiModalProjector): vectors are
// normalized, squares of them joined and brought back to their width by a matrix, and go through an MLP.
#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/component/connector.h>
#include <antiphon/component/register.h>
#include <antiphon/nn/activation.h>
#include <antiphon/nn/blocks/mlp.h>
#include <antiphon/nn/norm.h>
#include <antiphon/plugin/manifest.h>

namespace antiphon::patch_merger {

struct PatchMergerOptions {
  int64_t factor = 2;
  std::string activation = "gelu";
  double norm_eps = 1e-5;
  bool bias = false;
};

const config::Table<PatchMergerOptions>& patch_merger_table() {
  using O = PatchMergerOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("patch_merger")
          .field("factor", &O::factor, "edge of the squares; must divide the grid", {.min = 1, .max = 16})
          .field("activation", &O::activation, "of the MLP", {.choices = nn::activation_names()})
          .field("norm_eps", &O::norm_eps, "epsilon of the norm", {.min = 0, .max = 1})
          .field("bias", &O::bias, "biases in the MLP"));
  return *table;
}

// Parameters: norm, merging_layer, layers.N.
class PatchMerger : public Connector, private Module {
 public:
  PatchMerger(const PatchMergerOptions& options, ConnectorShape shape)
      : factor_(options.factor),
        norm_(nn::NormKind::rms, shape.input_size, options.norm_eps),
        merging_layer_(shape.input_size * factor_ * factor_, shape.input_size, false),
        mlp_(shape.input_size, shape.output_size, shape.output_size, 2, options.activation, options.bias) {
    add("norm", norm_);
    add("merging_layer", merging_layer_);
    add("layers", mlp_);
  }

  TokenGrid output_grid(const TokenGrid& input) const override {
    if (input.rows % factor_ != 0 || input.columns % factor_ != 0)
      fail(ErrorKind::config,
           fmt::format("patch_merger: a grid of {} x {} cannot be cut into squares of {}", input.rows, input.columns,
                       factor_),
           "give the encoder merge_size = " + std::to_string(factor_));
    return {input.rows / factor_, input.columns / factor_};
  }

  // Values of one channel of a square lie together, as torch.nn.functional.unfold lays them.
  at::Tensor arrange(const at::Tensor& features, const TokenGrid& grid) const override {
    const int64_t n = features.size(0), width = features.size(2), rows = grid.rows / factor_,
                  columns = grid.columns / factor_;
    return norm_.forward(features)
        .view({n, rows, factor_, columns, factor_, width})
        .permute({0, 1, 3, 5, 2, 4})
        .reshape({n, rows * columns, width * factor_ * factor_});
  }

  at::Tensor project(const at::Tensor& rows) override { return mlp_.forward(merging_layer_.forward(rows)); }

  Module& module() override { return *this; }

 private:
  int64_t factor_;
  nn::Norm norm_;
  nn::Linear merging_layer_;
  nn::Mlp mlp_;
};

}  // namespace antiphon::patch_merger

ANTIPHON_PLUGIN(patch_merger, "0.1.0") {
  using namespace antiphon::patch_merger;
  antiphon::register_component<antiphon::Connector, PatchMerger>(
      registrar, "patch_merger", "a norm, squares of patches joined by a matrix, an MLP (Mistral Small 3)",
      patch_merger_table());
}
