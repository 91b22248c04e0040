// One linear layer from the encoder's width to the language model's.
#include <ATen/ATen.h>

#include <antiphon/component/connector.h>
#include <antiphon/component/register.h>
#include <antiphon/nn/linear/linear.h>
#include <antiphon/plugin/manifest.h>

namespace antiphon::linear {

struct LinearOptions {
  bool bias = true, log_softmax = false;
};

const config::Table<LinearOptions>& linear_table() {
  static const auto* table = new config::Table<LinearOptions>(
      config::Table<LinearOptions>("linear")
          .field("bias", &LinearOptions::bias, "add a bias")
          .field("log_softmax", &LinearOptions::log_softmax,
                 "log-softmax of each embedding, as NeMo's \"linear\" modality adapter (ConvASRDecoder) always does"));
  return *table;
}

class LinearConnector : public Connector {
 public:
  LinearConnector(const LinearOptions& options, ConnectorShape shape)
      : log_softmax_(options.log_softmax), layer_(shape.input_size, shape.output_size, options.bias) {}
  TokenGrid output_grid(const TokenGrid& input) const override { return input; }
  at::Tensor project(const at::Tensor& rows) override {
    const auto y = layer_.forward(rows);
    return log_softmax_ ? at::log_softmax(y, -1) : y;
  }
  Module& module() override { return layer_; }

 private:
  bool log_softmax_;
  nn::Linear layer_;
};

}  // namespace antiphon::linear

ANTIPHON_PLUGIN(linear, "0.1.0") {
  using namespace antiphon::linear;
  antiphon::register_component<antiphon::Connector, LinearConnector>(registrar, "linear", "one linear layer",
                                                                     linear_table());
}
