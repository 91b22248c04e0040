// The projector of Gemma 3 (Team et al. 2025; transformers: models/gemma3, Gemma3MultiModalProjector): squares of
// patches are averaged, normalized and multiplied by a matrix.
#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/component/connector.h>
#include <antiphon/component/register.h>
#include <antiphon/nn/linear/linear.h>
#include <antiphon/nn/norm.h>
#include <antiphon/plugin/manifest.h>

namespace antiphon::average_pool {

struct AveragePoolOptions {
  int64_t pool = 1;
  double norm_eps = 1e-6;
};

const config::Table<AveragePoolOptions>& average_pool_table() {
  using O = AveragePoolOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("average_pool")
          .field("pool", &O::pool, "edge of the squares that are averaged; what is left at the far edges is dropped",
                 {.min = 1, .max = 256})
          .field("norm_eps", &O::norm_eps, "epsilon of the norm", {.min = 0, .max = 1}));
  return *table;
}

// Parameters: norm, projection [input_size, output_size].
class AveragePool : public Connector, private Module {
 public:
  AveragePool(const AveragePoolOptions& options, ConnectorShape shape)
      : pool_(options.pool), norm_(nn::NormKind::rms_plus_one, shape.input_size, options.norm_eps) {
    add("norm", norm_);
    add("projection", projection_, {shape.input_size, shape.output_size}, Init::normal_002, Role::matrix);
  }

  TokenGrid output_grid(const TokenGrid& input) const override {
    if (input.rows < pool_ || input.columns < pool_)
      fail(ErrorKind::config, fmt::format("average_pool: a grid of {} x {} has no square of {} x {}", input.rows,
                                          input.columns, pool_, pool_));
    return {input.rows / pool_, input.columns / pool_};
  }

  at::Tensor arrange(const at::Tensor& features, const TokenGrid& grid) const override {
    if (pool_ == 1) return features;
    const auto picture =
        features.transpose(1, 2).reshape({features.size(0), features.size(2), grid.rows, grid.columns});
    return at::avg_pool2d(picture, {pool_, pool_}, {pool_, pool_}).flatten(2).transpose(1, 2);
  }

  at::Tensor project(const at::Tensor& rows) override {
    const auto x = norm_.forward(rows);
    return at::matmul(x, nn::like(projection_, x));
  }

  Module& module() override { return *this; }

 private:
  int64_t pool_;
  nn::Norm norm_;
  at::Tensor projection_;
};

}  // namespace antiphon::average_pool

ANTIPHON_PLUGIN(average_pool, "0.1.0") {
  using namespace antiphon::average_pool;
  antiphon::register_component<antiphon::Connector, AveragePool>(
      registrar, "average_pool", "squares of patches averaged, a norm, one matrix (Gemma 3)", average_pool_table());
}
