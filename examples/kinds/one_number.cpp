// A head: one number of a sequence.
#include <antiphon/component/head.h>
#include <antiphon/component/register.h>
#include <antiphon/nn/linear/linear.h>
#include <antiphon/plugin/manifest.h>

using namespace antiphon;

class OneNumber : public Head {
 public:
  explicit OneNumber(HeadShape shape) : layer_(shape.hidden_size, 1, /*with_bias=*/true) {}
  int64_t outputs() const override { return 1; }
  at::Tensor forward(const at::Tensor& hidden_nd) override { return layer_.forward(hidden_nd); }
  Module& module() override { return layer_; }
  NameMap name_map() const override { return {{{"score.{}", "{}"}}, {"model.*"}, {}}; }

 private:
  nn::Linear layer_;
};

ANTIPHON_PLUGIN(one_number, "0.1.0") {
  register_component<Head, OneNumber>(registrar, "one_number", "one number of a sequence");
}
