// A connector: one linear layer for each vector.
#include <antiphon/component/connector.h>
#include <antiphon/component/register.h>
#include <antiphon/nn/linear/linear.h>
#include <antiphon/plugin/manifest.h>

using namespace antiphon;

class Projection : public Connector {
 public:
  explicit Projection(ConnectorShape shape) : layer_(shape.input_size, shape.output_size, /*with_bias=*/true) {}
  TokenGrid output_grid(const TokenGrid& input) const override { return input; }
  at::Tensor project(const at::Tensor& rows) override { return layer_.forward(rows); }
  Module& module() override { return layer_; }

 private:
  nn::Linear layer_;
};

ANTIPHON_PLUGIN(projection, "0.1.0") {
  register_component<Connector, Projection>(registrar, "projection", "one linear layer");
}
