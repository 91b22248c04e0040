// The destructors stand here, so that type information of the interfaces lives in the core alone.
#include <antiphon/component/connector.h>
#include <antiphon/component/encoder.h>
#include <antiphon/component/language_model.h>
#include <antiphon/component/loss.h>
#include <antiphon/component/peft.h>

namespace antiphon {

Encoder::~Encoder() = default;
Connector::~Connector() = default;
LanguageModel::~LanguageModel() = default;
Loss::~Loss() = default;
LinearAdapter::~LinearAdapter() = default;
Peft::~Peft() = default;

}  // namespace antiphon
