// LoRA (Hu et al. 2021) on layers that are several here and one in transformers (stacked.h), whose name PEFT's files
// have. Used by adapter.h.
//
// Out: factors A of the parts one below the other and B on the diagonal are a change of the whole with the sum of the
// ranks: the same products, to the bit. In: such a change is taken apart again; and of any other change B A each part
// has its rows of B, and A, which they share: the same products, too. If it is trained further here, the parts' copies
// of A go ways of their own.
#pragma once
#include <nlohmann/json.hpp>

#include <antiphon/component/peft.h>
#include <antiphon/weights/stacked.h>

namespace antiphon::weights {

// The part that carries an adapter, and how its file names its layers.
struct StackedPart {
  const NameMap& names;
  Module& part;
};

struct AdapterFile {
  NamedTensors tensors;
  nlohmann::json config;
};

// As PEFT has it on the model of transformers. What cannot be said so exactly, another method than LoRA or ranks of
// their own for some layers, is left under the names that it has here, with a warning.
AdapterFile stacked_adapter(AdapterFile file, const StackedPart& stacks);

// The file's tensors as those of what is attached, and its settings, of which those of stacks are taken out. Error
// (weights) if they are not the same change: another scale, a rank that fits neither form, a change of a layer without
// an adapter, a method other than LoRA.
std::shared_ptr<const Checkpoint> unstacked_adapter(std::shared_ptr<const Checkpoint> file, nlohmann::json& config,
                                                    Peft& peft, const StackedPart& stacks);

}  // namespace antiphon::weights
