// No connector: the encoder's vectors as they are, for encoders that give the width that is wanted, as the towers of
// dual encoders do.
#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/component/connector.h>
#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

namespace antiphon::identity {

class Identity : public Connector, private Module {
 public:
  explicit Identity(ConnectorShape shape) {
    if (shape.input_size != shape.output_size)
      fail(ErrorKind::config,
           fmt::format("identity: the encoder gives vectors of {} numbers, and {} are wanted", shape.input_size,
                       shape.output_size),
           "take a connector that changes the width, such as linear");
  }
  TokenGrid output_grid(const TokenGrid& input) const override { return input; }
  at::Tensor project(const at::Tensor& rows) override { return rows; }
  Module& module() override { return *this; }
};

}  // namespace antiphon::identity

ANTIPHON_PLUGIN(identity, "0.1.0") {
  using namespace antiphon::identity;
  antiphon::register_component<antiphon::Connector, Identity>(registrar, "identity",
                                                              "none: the encoder's vectors as they are");
}
