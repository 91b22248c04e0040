// Whether an exception says that there is no memory left.
#pragma once
#include <exception>
#include <string>
#include <vector>

#include <antiphon/model/batch.h>

namespace antiphon::train {

// std::bad_alloc, and what LibTorch throws of the CPU's and of a GPU's memory.
bool is_out_of_memory(const std::exception& error);

// "2 batches of at most 4096 tokens; the longest samples: a (1200 tokens), b (900 tokens) and 7 more".
std::string described_by_length(const std::vector<model::Batch>& batches);

}  // namespace antiphon::train
