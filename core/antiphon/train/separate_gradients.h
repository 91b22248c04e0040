// Gradients that autograd left in one memory.
#pragma once
#include <vector>

#include <antiphon/component/module.h>

namespace antiphon::train {

// Gives each gradient a memory of its own, and says how many had none. A backward function may hand two parameters
// views of one tensor, and autograd keeps what it is given without a copy: a later pass would add to both, and clipping
// would scale both twice.
int64_t separate_gradients(const std::vector<Parameter>& parameters);

}  // namespace antiphon::train
