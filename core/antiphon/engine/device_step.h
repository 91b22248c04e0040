// A decoding step whose rows and lengths live on the device, recorded as a CUDA graph and replayed.
#pragma once
#include <antiphon/model/multimodal_lm.h>

namespace antiphon::engine {

// As decode_step (step.h), which calls it if the model is on a CUDA device; works on every device. With the CUDA
// kernels loaded, the third step of each number of rows is recorded and from then on replayed: one launch instead of
// several hundred. What is recorded lives with the cache and uses the parameters where they are: while the cache is in
// use they must not be replaced. Error(internal) if a row is full.
at::Tensor device_step(model::MultimodalLm& model, const std::vector<int64_t>& ids, const std::vector<int64_t>& rows,
                       KvCache& cache);

}  // namespace antiphon::engine
