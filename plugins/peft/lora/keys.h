// What the keys of PEFT's adapter_config.json mean.
#pragma once
#include <antiphon/component/pretrained.h>

namespace antiphon::lora {

// Of PEFT's LoraConfig.
const ForeignKeys& lora_keys();

}  // namespace antiphon::lora
