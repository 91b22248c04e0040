// The destructors stand here, so that type information of the interfaces lives in the core alone.
#include <antiphon/component/connector.h>
#include <antiphon/component/encoder.h>
#include <antiphon/component/language_model.h>
#include <antiphon/component/loss.h>
#include <antiphon/component/peft.h>

#include <ATen/ATen.h>

namespace antiphon {

Encoder::~Encoder() = default;
Connector::~Connector() = default;
LanguageModel::~LanguageModel() = default;
Loss::~Loss() = default;
LinearAdapter::~LinearAdapter() = default;
Peft::~Peft() = default;

at::Tensor Connector::arrange(const at::Tensor& features, const TokenGrid&) const { return features; }

at::Tensor Connector::forward(const at::Tensor& features, const TokenGrid& grid) {
  const auto arranged = arrange(features, grid);
  return project(arranged.reshape({-1, arranged.size(2)})).view({arranged.size(0), arranged.size(1), -1});
}

}  // namespace antiphon
