// Numbers of a sequence, one linear map of its last hidden state: what transformers' …ForSequenceClassification calls
// `score`.
#include <antiphon/component/head.h>
#include <antiphon/component/register.h>
#include <antiphon/nn/linear/linear.h>
#include <antiphon/plugin/manifest.h>

#include <nlohmann/json.hpp>

namespace antiphon::scalar {

struct ScalarOptions {
  int64_t outputs = 1;
  void read_pretrained(const PretrainedConfig& pretrained) {
    constexpr int64_t kUnsaid = 2;  // transformers leaves out what is its default
    const auto labels = pretrained.config.table("id2label");
    outputs = labels.exists() ? static_cast<int64_t>(labels.json().size())
                              : pretrained.config.integer("num_labels", kUnsaid, 1, 1 << 16);
  }
};

const config::Table<ScalarOptions>& scalar_table() {
  static const auto* table = new config::Table<ScalarOptions>(config::Table<ScalarOptions>("scalar").field(
      "outputs", &ScalarOptions::outputs, "numbers of a sequence: 1 for a reward", {.min = 1, .max = 1 << 16}));
  return *table;
}

class Scalar : public Head, private Module {
 public:
  Scalar(const ScalarOptions& options, HeadShape shape)
      : score_(shape.hidden_size, options.outputs, /*with_bias=*/false) {
    add("score", score_);
  }
  int64_t outputs() const override { return score_.out(); }
  at::Tensor forward(const at::Tensor& hidden_nd) override { return score_.forward(hidden_nd); }
  Module& module() override { return *this; }
  NameMap name_map() const override { return {{{"score.{}", "score.{}"}}, {"model.*", "lm_head.*"}, {}}; }

 private:
  nn::Linear score_;
};

}  // namespace antiphon::scalar

ANTIPHON_PLUGIN(scalar, "0.1.0") {
  using namespace antiphon::scalar;
  antiphon::register_component<antiphon::Head, Scalar>(registrar, "scalar",
                                                       "numbers of a sequence: a reward, attributes", scalar_table());
}
