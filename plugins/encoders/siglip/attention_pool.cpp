#include "attention_pool.h"

#include <ATen/ATen.h>

#include <antiphon/nn/activation.h>
#include <antiphon/nn/linear/linear.h>
#include <antiphon/nn/norm.h>

#include <cmath>

namespace antiphon::siglip {
namespace {

class AttentionPool : public nn::VitPool {
 public:
  explicit AttentionPool(const nn::VitOptions& options);
  at::Tensor forward(const at::Tensor& x_ntd) const override;
  int64_t output_size() const override { return options_.hidden_size; }

 private:
  // Rows [begin, end) * hidden_size of the joint projection, as heads: x [n, t, d] -> [n, t, (end - begin) * d].
  at::Tensor project(const at::Tensor& x_ntd, int64_t begin, int64_t end) const;
  at::Tensor attend(const at::Tensor& x_ntd) const;

  nn::VitOptions options_;
  at::Tensor probe_, in_weight_, in_bias_;
  nn::Linear out_proj_, fc1_, fc2_;
  nn::Norm norm_;
};

AttentionPool::AttentionPool(const nn::VitOptions& o)
    : options_(o),
      out_proj_(o.hidden_size, o.hidden_size, true),
      fc1_(o.hidden_size, o.intermediate_size, true),
      fc2_(o.intermediate_size, o.hidden_size, true),
      norm_(nn::NormKind::layer, o.hidden_size, o.layer_norm_eps) {
  add("probe", probe_, {1, 1, o.hidden_size}, Init::normal_002, Role::vector);
  add("in_proj_weight", in_weight_, {3 * o.hidden_size, o.hidden_size}, Init::linear_uniform, Role::matrix);
  add("in_proj_bias", in_bias_, {3 * o.hidden_size}, Init::zeros, Role::vector);
  add("out_proj", out_proj_);
  add("norm", norm_);
  add("mlp.fc1", fc1_);
  add("mlp.fc2", fc2_);
}

at::Tensor AttentionPool::project(const at::Tensor& x_ntd, int64_t begin, int64_t end) const {
  const int64_t d = options_.hidden_size;
  const auto rows = [&](const at::Tensor& all) { return nn::like(all.slice(0, begin * d, end * d), x_ntd); };
  return nn::linear(x_ntd, rows(in_weight_), rows(in_bias_));
}

at::Tensor AttentionPool::attend(const at::Tensor& x_ntd) const {
  const int64_t n = x_ntd.size(0), d = options_.hidden_size, heads = options_.num_heads;
  const auto q = project(nn::like(probe_, x_ntd), 0, 1).view({1, 1, heads, -1}).expand({n, 1, heads, d / heads});
  const auto kv = project(x_ntd, 1, 3).view({n, -1, 2, heads, d / heads}).permute({2, 0, 3, 1, 4});
  const double scale = 1 / std::sqrt(static_cast<double>(d / heads));
  const auto y = at::softmax(at::matmul(q.transpose(1, 2) * scale, kv[0].transpose(2, 3)), -1).matmul(kv[1]);
  return out_proj_.forward(y.reshape({n, d}));
}

at::Tensor AttentionPool::forward(const at::Tensor& x_ntd) const {
  const auto y = attend(x_ntd);
  return y + fc2_.forward(nn::activate(options_.activation, fc1_.forward(norm_.forward(y))));
}

}  // namespace

std::unique_ptr<nn::VitPool> attention_pool(const nn::VitOptions& options) {
  return std::make_unique<AttentionPool>(options);
}

}  // namespace antiphon::siglip
