// What compares a text with a picture in a dual encoder: the projection of the text's last hidden state, and the scale
// and the bias of their product (Radford et al. 2021, CLIP; Zhai et al. 2023, SigLIP).
#include <ATen/ATen.h>

#include <antiphon/component/head.h>
#include <antiphon/component/register.h>
#include <antiphon/nn/linear/linear.h>
#include <antiphon/plugin/manifest.h>

#include <cmath>

namespace antiphon::pair {

struct PairOptions {
  int64_t projection_dim = 512;
  bool projection_bias = false, logit_bias = false;
  double max_scale = 100;
};

const config::Table<PairOptions>& pair_table() {
  using O = PairOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("pair")
          .field("projection_dim", &O::projection_dim, "width of the vectors that are compared",
                 {.min = 1, .max = 1 << 20})
          .field("projection_bias", &O::projection_bias, "SigLIP: the projection of texts has one")
          .field("logit_bias", &O::logit_bias, "SigLIP: added to every product, -10 at first; the scale begins at 10")
          .field("max_scale", &O::max_scale, "the largest factor of a product that training may reach; 0: any",
                 {.min = 0, .max = 1e6}));
  return *table;
}

class Pair : public Head, private Module {
 public:
  Pair(const PairOptions& options, HeadShape shape)
      : projection_(shape.hidden_size, options.projection_dim, options.projection_bias) {
    add("projection", projection_);
    const auto most = options.max_scale > 0 ? std::optional(std::log(options.max_scale)) : std::nullopt;
    add("logit_scale", scale_, {1}, options.logit_bias ? Init::log_10 : Init::log_inverse_007, Role::vector, most);
    if (options.logit_bias) add("logit_bias", bias_, {1}, Init::minus_10, Role::vector);
  }
  // [n, projection_dim + 2]: the vector, then the logarithm of the scale and the bias, the same for all.
  int64_t outputs() const override { return projection_.out() + 2; }
  at::Tensor forward(const at::Tensor& hidden_nd) override {
    const auto column = [&](const at::Tensor& number) {
      return number.to(hidden_nd.scalar_type()).reshape({1, 1}).expand({hidden_nd.size(0), 1});
    };
    const auto bias = bias_.defined() ? column(bias_) : at::zeros({hidden_nd.size(0), 1}, hidden_nd.options());
    return at::cat({projection_.forward(hidden_nd), column(scale_), bias}, 1);
  }
  Module& module() override { return *this; }
  NameMap name_map() const override {
    return {{{"text_projection.{}", "projection.{}"}, {"logit_scale", "logit_scale"}, {"logit_bias", "logit_bias"}},
            {"text_model.*", "vision_model.*", "visual_projection.*"},
            {}};
  }

 private:
  nn::Linear projection_;
  at::Tensor scale_, bias_;
};

}  // namespace antiphon::pair

ANTIPHON_PLUGIN(pair, "0.1.0") {
  using namespace antiphon::pair;
  antiphon::register_component<antiphon::Head, Pair>(
      registrar, "pair", "what a dual encoder compares a text with a picture by", pair_table());
}
