// One new token per row through a decoder layer on the CPU, without gradients: five parallel passes instead of some
// twenty operations, whose launch would cost as much as reading the weights. It rounds to the dtype of x where the
// operations do.
#pragma once
#include <antiphon/nn/blocks/decoder.h>

namespace antiphon::nn {

// Whether layer_step() computes a block with these options. It names all of them, so that one more does not compile
// until somebody has thought of it there.
bool is_block_of_step(const DecoderOptions& options);

// x [rows, hidden_size] in the layer's dtype, contiguous.
bool fits_layer_step(const DecoderLayer& layer, const at::Tensor& x_td, const DecoderInput& input, size_t index);
at::Tensor layer_step(const DecoderLayer& layer, const at::Tensor& x_td, const RopeTable& rope,
                      const DecoderInput& input, size_t index);

}  // namespace antiphon::nn
