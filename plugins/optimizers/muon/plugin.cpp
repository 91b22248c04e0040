// Muon: the momentum of a matrix, with its singular values brought near 1 by a Newton-Schulz iteration. Source: Jordan
// et al. 2024 (kellerjordan.github.io/posts/muon); torch/optim/_muon.py, whose scales it has. Embeddings, heads,
// vectors and the filters of convolutions are updated by AdamW.
#include <ATen/ATen.h>

#include <antiphon/component/register.h>
#include <antiphon/component/update_rule.h>
#include <antiphon/plugin/manifest.h>

#include <algorithm>
#include <cmath>

namespace antiphon::muon {

struct MuonOptions {
  double momentum = 0.95;
  bool nesterov = true;
  int64_t iterations = 5;
  std::string scale = "original";
  double others_lr = 0.1, beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
};

const config::Table<MuonOptions>& muon_table() {
  using O = MuonOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("muon")
          .field("momentum", &O::momentum, "decay of the momentum", {.min = 0, .max = 1})
          .field("nesterov", &O::nesterov, "the gradient is added to the momentum once more")
          .field("iterations", &O::iterations, "of Newton-Schulz", {.min = 1, .max = 99})
          .field(
              "scale", &O::scale,
              "of a matrix's update: original, sqrt(max(1, rows / columns)), or match_rms_adamw, 0.2 · sqrt(max(rows, "
              "columns)), with which AdamW's rates may stay",
              {.choices = {"original", "match_rms_adamw"}})
          .field("others_lr", &O::others_lr, "rate of embeddings, heads, vectors and filters, relative to lr",
                 {.min = 0})
          .field("beta1", &O::beta1, "of AdamW: decay of the first moment", {.min = 0, .max = 1})
          .field("beta2", &O::beta2, "of AdamW: decay of the second moment", {.min = 0, .max = 1})
          .field("eps", &O::eps, "of AdamW: added to the root of the second moment", {.min = 0}));
  return *table;
}

// Coefficients with the steepest slope at 0, from the source.
constexpr double kA = 3.4445, kB = -4.7750, kC = 2.0315, kLeastNorm = 1e-7;

at::Tensor orthogonalized(const at::Tensor& matrix, int64_t iterations) {
  const bool tall = matrix.size(0) > matrix.size(1);
  auto x = tall ? matrix.t() : matrix;
  x = x / x.norm().clamp_min(kLeastNorm);
  for (int64_t i = 0; i < iterations; ++i) {
    const auto gram = at::mm(x, x.t());
    x = at::addmm(x, at::addmm(gram, gram, gram, kB, kC), x, kA);
  }
  return tall ? x.t() : x;
}

class Muon : public UpdateRule {
 public:
  explicit Muon(const MuonOptions& options) : o_(options) {}

  std::vector<std::pair<std::string, at::Tensor>> make_state(const Parameter& parameter) const override {
    const auto zeros = [&] { return at::zeros_like(*parameter.tensor).detach(); };
    if (parameter.role == Role::matrix) return {{"momentum", zeros()}};
    const auto step = at::zeros({}, parameter.tensor->options().dtype(at::kFloat).requires_grad(false));
    return {{"exp_avg", zeros()}, {"exp_avg_sq", zeros()}, {"step", step}};
  }

  void update(const std::vector<UpdateItem>& items, double lr, double weight_decay) override {
    for (const auto& item : items) {
      if (item.role == Role::matrix)
        update_matrix(item, lr, weight_decay);
      else
        update_other(item, lr * o_.others_lr, weight_decay);
    }
  }

 private:
  double scale_of(const at::Tensor& matrix) const {
    const auto rows = static_cast<double>(matrix.size(0)), columns = static_cast<double>(matrix.size(1));
    return o_.scale == "original" ? std::sqrt(std::max(1.0, rows / columns)) : 0.2 * std::sqrt(std::max(rows, columns));
  }

  void update_matrix(const UpdateItem& item, double lr, double weight_decay) const {
    const auto& momentum = item.state[0];
    momentum.lerp_(item.gradient, 1 - o_.momentum);
    const auto change = o_.nesterov ? item.gradient.lerp(momentum, o_.momentum) : momentum;
    item.parameter.mul_(1 - lr * weight_decay);
    item.parameter.sub_(orthogonalized(change, o_.iterations), lr * scale_of(item.parameter));
  }

  void update_other(const UpdateItem& item, double lr, double weight_decay) const {
    at::_fused_adamw_({item.parameter}, {item.gradient}, {item.state[0]}, {item.state[1]}, {}, {item.state[2].add_(1)},
                      lr, o_.beta1, o_.beta2, weight_decay, o_.eps, /*amsgrad=*/false, /*maximize=*/false);
  }

  MuonOptions o_;
};

}  // namespace antiphon::muon

ANTIPHON_PLUGIN(muon, "0.1.0") {
  using namespace antiphon::muon;
  antiphon::register_component<antiphon::UpdateRule, Muon>(
      registrar, "muon", "Muon (Jordan 2024) for matrices, AdamW for all else", muon_table());
}
