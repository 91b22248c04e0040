// AdamW whose moments are kept in 8 bits and computed in 32. Source: Dettmers et al. 2022, "8-bit Optimizers via
// Block-wise Quantization". A moment's error depends on its block, so pieces of parameters are not updated alike.
#include <ATen/ATen.h>

#include <antiphon/component/register.h>
#include <antiphon/component/update_rule.h>
#include <antiphon/plugin/manifest.h>

#include <cmath>

#include "dynamic_code.h"

namespace antiphon::adamw_8bit {

struct AdamW8bitOptions {
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
  int64_t block_size = 256, min_size = 4096;
};

const config::Table<AdamW8bitOptions>& adamw_8bit_table() {
  using O = AdamW8bitOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("adamw_8bit")
          .field("beta1", &O::beta1, "decay of the first moment", {.min = 0, .max = 1})
          .field("beta2", &O::beta2, "decay of the second moment", {.min = 0, .max = 1})
          .field("eps", &O::eps, "added to the root of the second moment", {.min = 0})
          .field("block_size", &O::block_size, "values that share a scale", {.min = 1, .max = 1 << 20})
          .field("min_size", &O::min_size, "parameters of fewer values have moments of 32 bits", {.min = 0}));
  return *table;
}

class AdamW8bit : public UpdateRule {
 public:
  explicit AdamW8bit(const AdamW8bitOptions& options)
      : o_(options), first_(/*with_sign=*/true, o_.block_size), second_(/*with_sign=*/false, o_.block_size) {}

  std::vector<std::pair<std::string, at::Tensor>> make_state(const Parameter& parameter) const override {
    const auto& x = *parameter.tensor;
    const auto zeros = [&](at::IntArrayRef sizes, at::ScalarType dtype) {
      return at::zeros(sizes, x.options().dtype(dtype).requires_grad(false));
    };
    const auto step = zeros({}, at::kFloat);
    if (x.numel() < o_.min_size)
      return {{"exp_avg", zeros(x.sizes(), at::kFloat)}, {"exp_avg_sq", zeros(x.sizes(), at::kFloat)}, {"step", step}};
    const int64_t blocks = first_.blocks(x.numel());
    return {{"exp_avg", zeros(x.sizes(), at::kByte)},
            {"exp_avg_sq", zeros(x.sizes(), at::kByte)},
            {"step", step},
            {"exp_avg_scale", zeros({blocks}, at::kFloat)},
            {"exp_avg_sq_scale", zeros({blocks}, at::kFloat)}};
  }

  void update(const std::vector<UpdateItem>& items, double lr, double weight_decay) override {
    for (const auto& item : items) {
      item.state[2].add_(1);
      if (item.state.size() == 3)
        at::_fused_adamw_({item.parameter}, {item.gradient}, {item.state[0]}, {item.state[1]}, {}, {item.state[2]}, lr,
                          o_.beta1, o_.beta2, weight_decay, o_.eps, /*amsgrad=*/false, /*maximize=*/false);
      else
        update_coded(item, lr, weight_decay);
    }
  }

 private:
  void update_coded(const UpdateItem& item, double lr, double weight_decay) const {
    const auto &m_code = item.state[0], &v_code = item.state[1], &m_scale = item.state[3], &v_scale = item.state[4];
    const double step = item.state[2].item<double>();
    const auto m = first_.decode(m_code, m_scale) * o_.beta1 + item.gradient * (1 - o_.beta1);
    const auto v = second_.decode(v_code, v_scale) * o_.beta2 + item.gradient.square() * (1 - o_.beta2);
    const auto root = v.sqrt().div_(std::sqrt(1 - std::pow(o_.beta2, step))).add_(o_.eps);
    item.parameter.mul_(1 - lr * weight_decay);
    item.parameter.sub_((m / root).mul_(lr / (1 - std::pow(o_.beta1, step))));
    first_.encode(m, m_code, m_scale);
    second_.encode(v, v_code, v_scale);
  }

  AdamW8bitOptions o_;
  DynamicCode first_, second_;
};

}  // namespace antiphon::adamw_8bit

ANTIPHON_PLUGIN(adamw_8bit, "0.1.0") {
  using namespace antiphon::adamw_8bit;
  antiphon::register_component<antiphon::UpdateRule, AdamW8bit>(
      registrar, "adamw_8bit", "AdamW with moments of 8 bits in blocks (Dettmers et al. 2022)", adamw_8bit_table());
}
