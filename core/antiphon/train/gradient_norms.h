// What the gradients of each part are like, for the message of a run that ends because they are not finite.
#pragma once
#include <string>
#include <vector>

#include <antiphon/component/module.h>

namespace antiphon::train {

// "llm nan (2 of 12 tensors are not finite, the first model.layers.1.mlp.up_proj.weight), connectors.image 0.25": the
// norm of each part ("llm/model…" is of "llm"), in the order of the parameters, of what this process holds. Parameters
// without a gradient are left out.
std::string described_gradients(const std::vector<Parameter>& parameters);

}  // namespace antiphon::train
