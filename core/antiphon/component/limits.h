// Sizes that no machine holds, refused before anything is allocated.
#pragma once
#include <antiphon/component/module.h>

namespace antiphon {

// Error(config) for more than 2^42 parameters. A single one has at most 2^38 values: see Module::add in module.cpp.
void check_parameter_count(Module& module);

}  // namespace antiphon
