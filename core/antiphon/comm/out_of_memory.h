// Whether an exception says that there is no memory left.
#pragma once
#include <exception>

namespace antiphon::comm {

// std::bad_alloc, and what LibTorch throws of the CPU's and of a GPU's memory.
bool is_out_of_memory(const std::exception& error);

}  // namespace antiphon::comm
