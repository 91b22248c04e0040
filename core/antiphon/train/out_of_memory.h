// What is said of a step for which there is no memory.
#pragma once
#include <string>
#include <vector>

#include <antiphon/model/batch.h>

namespace antiphon::train {

// "2 batches of at most 4096 tokens; the longest samples: a (1200 tokens), b (900 tokens) and 7 more".
std::string described_by_length(const std::vector<model::Batch>& batches);

}  // namespace antiphon::train
