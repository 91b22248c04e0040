// Number formats of the language model's linear layers besides `precision.compute`.
#pragma once
#include <string>

#include <antiphon/model/multimodal_lm.h>

namespace antiphon::run {

// What `precision.linear` says, for training only: what is trained this way is evaluated and served in the plain
// format. Error(config) if the device cannot do it, or no layer fits.
void use_linear_format(model::MultimodalLm& model, const std::string& linear);

// Keeps the matrices as `format`, "int8" or "int4", for inference from here on. Adapters become part of the weights
// first, which are rounded once. Error(config) on a GPU, or if no matrix fits.
void quantize(model::MultimodalLm& model, const std::string& format);

}  // namespace antiphon::run
