// A batch in two, for which there is not memory enough at once.
#pragma once
#include <optional>
#include <utility>

#include <antiphon/model/batch.h>

namespace antiphon::model {

// Its groups in their order, cut where each half has about as many tokens; nothing if it is of one group. Tensors are
// views of the batch's. Losses that are sums over sequences or groups are those of the batch.
std::optional<std::pair<Batch, Batch>> halves_of(const Batch& batch);

}  // namespace antiphon::model
