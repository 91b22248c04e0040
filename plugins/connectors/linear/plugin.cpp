// One linear layer from the encoder's width to the language model's.
#include <antiphon/component/register.h>
#include <antiphon/nn/linear.h>
#include <antiphon/plugin/manifest.h>

namespace antiphon::linear {

struct LinearOptions {
  bool bias = true;
};

const config::Table<LinearOptions>& linear_table() {
  static const auto* table = new config::Table<LinearOptions>(
      config::Table<LinearOptions>("linear").field("bias", &LinearOptions::bias, "add a bias"));
  return *table;
}

class LinearConnector : public Connector {
 public:
  LinearConnector(const LinearOptions& options, ConnectorShape shape)
      : layer_(shape.input_size, shape.output_size, options.bias) {}
  TokenGrid output_grid(const TokenGrid& input) const override { return input; }
  at::Tensor project(const at::Tensor& rows) override { return layer_.forward(rows); }
  Module& module() override { return layer_; }

 private:
  nn::Linear layer_;
};

}  // namespace antiphon::linear

ANTIPHON_PLUGIN(linear, "0.1.0") {
  using namespace antiphon::linear;
  antiphon::register_connector<LinearConnector>(registrar, "linear", "one linear layer", linear_table());
}
