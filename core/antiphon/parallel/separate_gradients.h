#pragma once
#include <vector>

#include <antiphon/component/module.h>

namespace antiphon::parallel {

// After each backward pass: LibTorch may have given two parameters gradients that lie in one memory (a class token and
// the positions that are added to it, for a single picture), which adding or scaling in place would change twice.
void separate_gradients(const std::vector<Parameter>& parameters);

}  // namespace antiphon::parallel
