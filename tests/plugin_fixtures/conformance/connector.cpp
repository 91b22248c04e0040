#include <ATen/ATen.h>

#include <antiphon/component/connector.h>
#include <antiphon/nn/linear/linear.h>

#include "faulty.h"

namespace antiphon::fixture {
namespace connector {
namespace {

enum class Fault { none, rounded_up, batch_scale };

// The mean of each two vectors; an odd one out is left out.
template <Fault fault>
class PairMean : public Connector {
 public:
  explicit PairMean(ConnectorShape shape) : layer_(shape.input_size, shape.output_size, /*with_bias=*/true) {}
  TokenGrid output_grid(const TokenGrid& grid) const override {
    if (grid.count() < 2) fail(ErrorKind::config, "pairs of one vector");
    return {1, (grid.count() + (fault == Fault::rounded_up)) / 2};
  }
  at::Tensor arrange(const at::Tensor& features, const TokenGrid& grid) const override {
    const int64_t pairs = grid.count() / 2;
    const auto means = features.narrow(1, 0, 2 * pairs).unflatten(1, {pairs, 2}).mean(2);
    return fault == Fault::batch_scale ? means / means.abs().max() : means;
  }
  at::Tensor project(const at::Tensor& rows) override { return layer_.forward(rows); }
  Module& module() override { return layer_; }

 private:
  nn::Linear layer_;
};

}  // namespace
}  // namespace connector

void add_connectors(plugin::Registrar& registrar) {
  using namespace connector;
  register_component<Connector, PairMean<Fault::none>>(registrar, "sound", "");
  register_component<Connector, PairMean<Fault::rounded_up>>(registrar, "rounded_up", "counts one that it leaves out");
  register_component<Connector, PairMean<Fault::batch_scale>>(registrar, "batch_scale", "divides by a batch's largest");
}

}  // namespace antiphon::fixture
