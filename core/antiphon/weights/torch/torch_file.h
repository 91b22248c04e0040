// Files of torch.save(): a zip archive of tensors' bytes and a pickle that says which tensors they are. The pickle is
// read as data (pickle.h); nothing of it is run. Source: torch/serialization.py and torch/_utils.py (2.11).
#pragma once
#include <string>
#include <vector>

#include <antiphon/weights/lazy_tensor.h>
#include <antiphon/weights/torch/byte_source.h>

namespace antiphon::weights {

// The tensors of a dict of parameters, or of the dict under "state_dict" in it (PyTorch Lightning), in its order; their
// bytes are read when they are asked for. Other entries, which hold no tensor, are counted in `warnings`.
// Error(weights) if it is not such a file, holds no tensor, two of one name, a kind of tensor that is more than its
// numbers (sparse, quantised, of a class of its own), or one that reaches beyond its storage.
LazyTensors torch_tensors(const ByteSource& file, std::vector<std::string>& warnings);

}  // namespace antiphon::weights
