// What a part of a composed model is.
#pragma once

namespace antiphon::model {

enum class PartKind { llm, peft, encoder, connector, head };

}  // namespace antiphon::model
