// Adapters of several parts as one of the whole model.
#pragma once
#include <functional>

#include <antiphon/component/adapter_file.h>

namespace antiphon::lora {

// As Peft::join(). Ranks and alphas may differ; DoRA and rsLoRA are all layers' or none's.
std::string join(AdapterFile& whole, const AdapterFile& part,
                 const std::function<std::string(const std::string& layer)>& in_whole);

}  // namespace antiphon::lora
