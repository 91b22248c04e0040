// Joins neighbouring frames and projects them: fewer, wider tokens for speech (Ma et al. 2024, SLAM-ASR).
#include <ATen/ATen.h>

#include <antiphon/component/connector.h>
#include <antiphon/component/register.h>
#include <antiphon/nn/activation.h>
#include <antiphon/nn/blocks/mlp.h>
#include <antiphon/plugin/manifest.h>

namespace antiphon::frame_stack {

struct FrameStackOptions {
  int64_t factor = 8, depth = 2, hidden_size = 0;
  std::string activation = "gelu";
  bool bias = true;
};

const config::Table<FrameStackOptions>& frame_stack_table() {
  using O = FrameStackOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("frame_stack")
          .field("factor", &O::factor, "frames joined into one token; the last token is filled with zeros",
                 {.min = 1, .max = 256})
          .field("depth", &O::depth, "linear layers", {.min = 1, .max = 16})
          .field("hidden_size", &O::hidden_size, "width between them; 0: the language model's", {.min = 0})
          .field("activation", &O::activation, "between the layers", {.choices = nn::activation_names()})
          .field("bias", &O::bias, "biases in the layers"));
  return *table;
}

class FrameStack : public Connector {
 public:
  FrameStack(const FrameStackOptions& options, ConnectorShape shape)
      : factor_(options.factor),
        mlp_(shape.input_size * options.factor, options.hidden_size ? options.hidden_size : shape.output_size,
             shape.output_size, options.depth, options.activation, options.bias) {}

  TokenGrid output_grid(const TokenGrid& input) const override { return {1, (input.count() + factor_ - 1) / factor_}; }

  at::Tensor arrange(const at::Tensor& features, const TokenGrid& grid) const override {
    const int64_t n = features.size(0), width = features.size(2), tokens = output_grid(grid).count();
    const auto full = at::constant_pad_nd(features, {0, 0, 0, tokens * factor_ - features.size(1)});
    return full.reshape({n, tokens, width * factor_});
  }

  at::Tensor project(const at::Tensor& rows) override { return mlp_.forward(rows); }

  Module& module() override { return mlp_; }

 private:
  int64_t factor_;
  nn::Mlp mlp_;
};

}  // namespace antiphon::frame_stack

ANTIPHON_PLUGIN(frame_stack, "0.1.0") {
  using namespace antiphon::frame_stack;
  antiphon::register_component<antiphon::Connector, FrameStack>(
      registrar, "frame_stack", "joins neighbouring frames and projects them", frame_stack_table());
}
