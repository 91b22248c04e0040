// The destructors stand here, so that type information of the interfaces lives in the core alone.
#include <antiphon/component/connector.h>
#include <antiphon/component/encoder.h>
#include <antiphon/component/language_model.h>
#include <antiphon/component/loss.h>
#include <antiphon/component/model_family.h>
#include <antiphon/component/peft.h>
#include <antiphon/component/voice_activity.h>

#include <ATen/ATen.h>

#include <antiphon/base/error.h>

namespace antiphon {

Encoder::~Encoder() = default;
Connector::~Connector() = default;
LanguageModel::~LanguageModel() = default;
Loss::~Loss() = default;
LinearAdapter::~LinearAdapter() = default;
Peft::~Peft() = default;
ModelFamily::~ModelFamily() = default;
VoiceActivity::~VoiceActivity() = default;

at::Tensor LanguageModel::logits(const at::Tensor& hidden_nd) {
  return at::linear(hidden_nd, head_weight().to(hidden_nd.scalar_type()));
}

Quantization LanguageModel::quantize(const std::string& format) {
  fail(ErrorKind::config, "this language model cannot keep its weights as " + format, "leave generate.weights out");
}

at::Tensor Connector::arrange(const at::Tensor& features, const TokenGrid&) const { return features; }

int64_t Connector::item_tokens(const std::vector<TokenGrid>& parts, const Tiling&) const {
  int64_t tokens = 0;
  for (const auto& grid : parts) tokens += grid.count();
  return tokens;
}

at::Tensor Connector::assemble(const std::vector<at::Tensor>& parts, const Tiling&) const {
  std::vector<at::Tensor> rows;
  for (const auto& part : parts) rows.push_back(part.flatten(0, 1));
  return rows.size() == 1 ? rows.front() : at::cat(rows);
}

at::Tensor Connector::forward(const at::Tensor& features, const TokenGrid& grid) {
  const auto arranged = arrange(features, grid);
  return project(arranged.reshape({-1, arranged.size(2)})).view({arranged.size(0), arranged.size(1), -1});
}

}  // namespace antiphon
