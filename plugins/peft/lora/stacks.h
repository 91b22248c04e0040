// LoRA on layers that are several here and one in transformers (weights/stacked.h), whose name PEFT's files have.
//
// Out: factors A of the parts one below the other and B on the diagonal are a change of the whole with the sum of the
// ranks: the same products, to the bit. In: such a change is taken apart again; and of any other change B A each part
// has its rows of B, and A, which they share: the same products, too. If it is trained further here, the parts' copies
// of A go ways of their own.
#pragma once
#include <antiphon/component/adapter_file.h>
#include <antiphon/component/peft.h>

namespace antiphon::lora {

// As Peft::stack_layers(). What cannot be said exactly: what is not LoRA's factors, ranks of their own for some layers,
// lengths of some rows only; what experts.h says of experts.
std::string into_stacks(AdapterFile& file, const StackedPart& stacks);

// As Peft::unstack_layers(), for what `lora` is attached to. Error(weights) for another scale, a rank that fits neither
// form, a change of a layer without an adapter, a tensor of such a layer that is not LoRA's.
bool out_of_stacks(AdapterFile& file, Peft& lora, const StackedPart& stacks);

}  // namespace antiphon::lora
