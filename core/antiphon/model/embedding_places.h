// Where the embeddings of a batch's media go.
#pragma once
#include <antiphon/model/batch.h>

namespace antiphon::model {

// Of each medium of a stream, or of each prompt for the name "": its tokens [n] int64 on the CPU. They rise, from one
// to the next, too.
std::vector<at::Tensor> embedding_places(const Batch& batch, const std::string& stream);

}  // namespace antiphon::model
