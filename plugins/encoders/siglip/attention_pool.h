// SigLIP's pooling of a picture (transformers: models/siglip/modeling_siglip.py, SiglipMultiheadAttentionPoolingHead).
#pragma once
#include <antiphon/nn/blocks/vit.h>

#include <memory>

namespace antiphon::siglip {

// A learned query attends to all patches; then y + MLP(norm(y)). One vector of hidden_size a picture.
// Parameters: probe [1, 1, hidden_size], in_proj_weight [3 * hidden_size, hidden_size] of query, key and value, as
// torch.nn.MultiheadAttention keeps them, in_proj_bias, out_proj, norm, mlp.{fc1, fc2}.
std::unique_ptr<nn::VitPool> attention_pool(const nn::VitOptions& options);

}  // namespace antiphon::siglip
