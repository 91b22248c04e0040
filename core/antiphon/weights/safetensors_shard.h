// Writing a safetensors file in two steps, so that several files can appear together. Used inside this area.
#pragma once
#include <antiphon/weights/output_file.h>
#include <antiphon/weights/safetensors.h>

namespace antiphon::weights {

// Writes and flushes everything; the caller commits. Errors as in save_safetensors().
void write_safetensors(OutputFile& file, const NamedTensors& tensors, const Metadata& metadata);

}  // namespace antiphon::weights
