// What the keys of PEFT's adapter_config.json mean.
#pragma once
#include <antiphon/component/pretrained.h>

#include "options.h"

namespace antiphon::lora {

// Of PEFT's LoraConfig, for an adapter with these options; `of_tied`: one that changes a head, or an embedding, that is
// both.
ForeignKeys lora_keys(const LoraOptions& options, bool of_tied);

}  // namespace antiphon::lora
