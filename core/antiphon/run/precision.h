// Number formats of the language model's linear layers besides `precision.compute`.
#pragma once
#include <string>
#include <vector>

#include <antiphon/model/multimodal_lm.h>
#include <antiphon/train/options.h>

namespace antiphon::run {

// What `precision.linear` says, for training only: what is trained this way is evaluated and served in the plain
// format. Error(config) if the device cannot do it, or no layer fits, or a part of one does not.
void use_linear_format(model::MultimodalLm& model, const std::string& linear, const train::ParallelOptions& parallel);

// Error(config) if keys of [precision] contradict each other or what is trained.
void check_precision(model::MultimodalLm& model, const train::PrecisionOptions& precision);

// What `precision.trained` says: casts the language model's trained matrices and embeddings. What is saved of them is
// in that format, too.
void keep_trained_as(model::MultimodalLm& model, const train::PrecisionOptions& precision);
// The parameters that it casts.
std::vector<Parameter> narrow_when_trained(model::MultimodalLm& model, const train::PrecisionOptions& precision);

// What `precision.weights` says, for training adapters on a frozen language model (QLoRA, Dettmers et al. 2023): its
// matrices are kept in 8 or 4 bits, and gradients pass through them. Error(config) on a GPU, if the language model is
// trained itself, or if no matrix fits.
void keep_frozen_as(model::MultimodalLm& model, const train::PrecisionOptions& precision);

// Keeps the matrices as `format`, "int8", "int4" or "nf4", for inference from here on. Adapters that can become part of
// the weights do so first, which are rounded once; others stay beside them. Error(config) on a GPU, or if no matrix
// fits.
void quantize(model::MultimodalLm& model, const std::string& format);

}  // namespace antiphon::run
