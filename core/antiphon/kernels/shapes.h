// Shapes without values: what a training step allocates can be seen on the meta device, whose tensors take no memory
// and whose operations take no time.
#pragma once

namespace antiphon::kernels {

// From now on, for the rest of the process: tensors on the meta device go through the operations that a GPU's go
// through, which give tensors of the right shapes. LibTorch has these for most of its operations; for those that it
// lacks in C++ (index_select, where, convolutions, layer norms, flash attention, …) they are registered here.
void use_shapes();
bool uses_shapes();

}  // namespace antiphon::kernels
