#include "prompt_encoder.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/component/training_pass.h>

namespace antiphon::ptuning {

PromptEncoder::PromptEncoder(const std::string& kind, const PromptEncoderShape& s) : shape_(s) {
  add("embedding.weight", embedding_, {s.tokens, s.hidden_size}, kind == "none" ? Init::normal_002 : Init::normal,
      Role::embedding);
  if (kind == "mlp") add_head({s.hidden_size, s.inner_size, s.inner_size, s.hidden_size});
  if (kind != "lstm") return;
  for (int64_t layer = 0; layer < s.layers; ++layer)
    for (const char* direction : {"", "_reverse"})
      add_lstm(layer, layer == 0 ? s.hidden_size : 2 * s.inner_size, direction);
  add_head({2 * s.inner_size, 2 * s.inner_size, s.hidden_size});
}

void PromptEncoder::add_lstm(int64_t layer, int64_t in, const std::string& direction) {
  const int64_t gates = 4 * shape_.inner_size;
  const auto declare = [&](const char* name, at::IntArrayRef sizes) {
    lstm_.push_back(std::make_unique<at::Tensor>());
    add(fmt::format("lstm_head.{}_l{}{}", name, layer, direction), *lstm_.back(), sizes,
        sizes.size() == 2 ? Init::linear_uniform : Init::zeros, sizes.size() == 2 ? Role::matrix : Role::vector);
  };
  declare("weight_ih", {gates, in});
  declare("weight_hh", {gates, shape_.inner_size});
  declare("bias_ih", {gates});
  declare("bias_hh", {gates});
}

// Every second place of torch's Sequential is an activation.
void PromptEncoder::add_head(const std::vector<int64_t>& widths) {
  for (size_t i = 0; i + 1 < widths.size(); ++i) {
    head_.push_back(std::make_unique<nn::Linear>(widths[i], widths[i + 1], true));
    add(fmt::format("mlp_head.{}", 2 * i), *head_.back());
  }
}

at::Tensor PromptEncoder::forward() const {
  auto x = embedding_;
  if (!lstm_.empty()) {
    std::vector<at::Tensor> parameters;
    for (const auto& parameter : lstm_) parameters.push_back(*parameter);
    const auto zeros = at::zeros({2 * shape_.layers, 1, shape_.inner_size}, x.options().requires_grad(false));
    // cuDNN has a gradient only in training mode, in which the dropout is then none.
    const double dropout = TrainingPass::now() ? shape_.dropout : 0;
    x = std::get<0>(at::lstm(x.unsqueeze(0), {zeros, zeros}, parameters, /*has_biases=*/true, shape_.layers, dropout,
                             at::GradMode::is_enabled(), /*bidirectional=*/true, /*batch_first=*/true))
            .squeeze(0);
  }
  for (size_t i = 0; i < head_.size(); ++i) {
    if (i > 0) x = at::relu(x);
    x = head_[i]->forward(x);
  }
  return x;
}

}  // namespace antiphon::ptuning
