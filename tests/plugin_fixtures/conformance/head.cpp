#include <ATen/ATen.h>

#include <antiphon/component/head.h>
#include <antiphon/nn/linear/linear.h>

#include "faulty.h"

namespace antiphon::fixture {
namespace head {
namespace {

enum class Fault { none, mixes_tokens, other_width };

template <Fault fault>
class OneNumber : public Head {
 public:
  explicit OneNumber(HeadShape shape) : layer_(shape.hidden_size, 1, /*with_bias=*/true) {}
  int64_t outputs() const override { return fault == Fault::other_width ? 2 : 1; }
  at::Tensor forward(const at::Tensor& hidden_nd) override {
    return layer_.forward(fault == Fault::mixes_tokens ? hidden_nd + hidden_nd.mean(0, true) : hidden_nd);
  }
  Module& module() override { return layer_; }
  NameMap name_map() const override { return {{{"score.{}", "{}"}}, {}, {}}; }

 private:
  nn::Linear layer_;
};

}  // namespace
}  // namespace head

void add_heads(plugin::Registrar& registrar) {
  using namespace head;
  register_component<Head, OneNumber<Fault::none>>(registrar, "sound", "");
  register_component<Head, OneNumber<Fault::mixes_tokens>>(registrar, "mixes_tokens", "adds the mean of all tokens");
  register_component<Head, OneNumber<Fault::other_width>>(registrar, "other_width", "says two and gives one");
}

}  // namespace antiphon::fixture
