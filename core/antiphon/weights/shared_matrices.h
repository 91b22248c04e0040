// Matrices that all layers of a method share, in a file of several parts' layers (Peft::is_shared()). Used by
// adapter.h.
#pragma once
#include <memory>

#include <antiphon/component/peft.h>
#include <antiphon/weights/checkpoint.h>

namespace antiphon::weights {

// The file with the first rows and columns of such matrices, as many as the method has on its part. As it is if none is
// larger than that in one dimension, and as large or larger in the others.
std::shared_ptr<const Checkpoint> own_beginnings(std::shared_ptr<const Checkpoint> file, Peft& method);

}  // namespace antiphon::weights
