#include <antiphon/component/language_model.h>

#include <ATen/ATen.h>

#include <antiphon/base/error.h>

namespace antiphon {

at::Tensor LanguageModel::logits(const at::Tensor& hidden_nd) {
  return at::linear(hidden_nd, head_weight().to(hidden_nd.scalar_type()));
}

Quantization LanguageModel::quantize(const std::string& format) {
  fail(ErrorKind::config, "this language model cannot keep its weights as " + format, "leave generate.weights out");
}

void LanguageModel::share(const SharedBy&) {
  fail(ErrorKind::config, "this language model is not divided by parallel.tensor", "use parallel.tensor = 1");
}

}  // namespace antiphon
