// One decoding step, and what it gives.
#pragma once
#include <antiphon/model/multimodal_lm.h>

namespace antiphon::engine {

// hidden [rows, hidden_size] -> logits [rows, vocab_size] in the same dtype.
at::Tensor logits_of(model::MultimodalLm& model, const at::Tensor& hidden);
// Appends ids[i] to row rows[i] of the cache -> hidden states [rows, hidden_size] after it.
at::Tensor decode_step(model::MultimodalLm& model, const std::vector<int64_t>& ids, const std::vector<int64_t>& rows,
                       KvCache& cache);

}  // namespace antiphon::engine
