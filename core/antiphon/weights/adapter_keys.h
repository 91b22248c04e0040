// What the keys of PEFT's adapter_config.json mean.
#pragma once
#include <antiphon/component/pretrained.h>

namespace antiphon::weights {

// Of PEFT's LoraConfig.
const ForeignKeys& lora_keys();

}  // namespace antiphon::weights
