// What the folder of an adapter says of the method that made it, so that a slot need not say it again.
#pragma once
#include <antiphon/component/peft.h>
#include <antiphon/component/pretrained.h>
#include <antiphon/model/adapter_part.h>

namespace antiphon::model {

// adapter_config.json as a method's options read it, for the part of these files that changes `target`:
// `target_modules` are the sites that have tensors there, by last parts of names if these say it, and modules_to_save
// the modules of the part.
PretrainedConfig adapter_settings(const weights::AdapterFiles& files, const PeftTarget& target, const NameMap& names);

}  // namespace antiphon::model
