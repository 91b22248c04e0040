// LoRA on experts. The model of transformers has those of a layer in tensors of three dimensions, [experts, out, in],
// and PEFT's files a change of such a tensor (target_parameters): A [experts · rank, in], an expert's rows one below
// the other, and B [out, rank · experts], of each rank the experts' columns side by side. Of several tensors of one
// module the keys of the last are the module's own, and each one before it lies within ".base_layer" once more. Each
// expert's factors are then those of a stack (stacks.h). Source: huggingface/peft, src/peft/tuners/lora/layer.py,
// ParamWrapper (0.21).
#pragma once
#include <antiphon/component/adapter_file.h>
#include <antiphon/component/peft.h>

namespace antiphon::lora {

// As into_stacks(), of adapters on experts. What cannot be said: lengths of rows, ranks of their own for some layers,
// some experts only. PEFT takes no dropout beside them, so that the file says 0.
std::string into_experts(AdapterFile& file, const StackedPart& stacks);

// As out_of_stacks(), of what `target_parameters` names; a name of a layer's own weight there says what its key says.
bool out_of_experts(AdapterFile& file, Peft& lora, const StackedPart& stacks);

}  // namespace antiphon::lora
