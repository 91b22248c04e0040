// Writing a safetensors file in two steps, so that several files can appear together, or one out of another folder.
#pragma once
#include <antiphon/weights/lazy_tensor.h>
#include <antiphon/weights/output_file.h>

namespace antiphon::weights {

// Writes and flushes everything; the caller commits. Errors as in save_safetensors().
void write_safetensors(OutputFile& file, const LazyTensors& tensors, const Metadata& metadata);

}  // namespace antiphon::weights
