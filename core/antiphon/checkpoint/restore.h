// Restores a checkpoint's values into the parameters of a model.
#pragma once
#include <vector>

#include <antiphon/checkpoint/stored_tensor.h>

namespace antiphon::checkpoint {

// `parameters`: all those in a checkpoint of the model. Error(weights) unless `values` has each of them, in its shape,
// and no other.
void restore_parameters(const std::vector<Parameter>& parameters, const StoredTensors& values);

}  // namespace antiphon::checkpoint
