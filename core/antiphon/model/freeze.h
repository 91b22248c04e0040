// [model] freeze: parameters of trained parts that stay as they are.
#pragma once
#include <string>
#include <vector>

#include <antiphon/model/model.h>

namespace antiphon::model {

// Those whose names ("<part path>/<parameter>", see trainable_parameters()) match one of the globs, those that methods
// of fine-tuning train of a part itself included; what methods add is left alone. Returns how many of which part.
// Error(config) if a glob matches none, or if nothing of a part would be left to train.
std::vector<FrozenOfPart> freeze(Model& model, const std::vector<std::string>& globs);

}  // namespace antiphon::model
