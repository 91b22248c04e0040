#include <antiphon/component/language_model.h>

#include <ATen/ATen.h>

#include <antiphon/base/error.h>

namespace antiphon {

at::Tensor LanguageModel::positions(const SampleLayout& layout) const {
  return at::arange(layout.tokens, at::kLong).expand({position_axes(), layout.tokens});
}

at::Tensor LanguageModel::logits(const at::Tensor& hidden_nd) {
  auto products = at::linear(hidden_nd, head_weight().to(hidden_nd.scalar_type()));
  const auto added = added_products(hidden_nd);
  if (added.inner_nr.defined()) products = products + at::linear(added.inner_nr, added.outer_vr);
  return logit_rule().applied(added.with_columns(products));
}

Quantization LanguageModel::quantize(const std::string& format) {
  fail(ErrorKind::config, "this language model cannot keep its weights as " + format, "leave generate.weights out");
}

void LanguageModel::share(const SharedBy& by) {
  const std::string key = by.group      ? "parallel.tensor"
                          : by.contexts ? "parallel.context"
                          : by.experts  ? "parallel.expert"
                                        : "parallel.pipeline";
  fail(ErrorKind::config, "this language model is not divided by " + key, "use " + key + " = 1");
}

}  // namespace antiphon
