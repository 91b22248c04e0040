#include <antiphon/backbone/moe_lm.h>

#include <fmt/format.h>

#include <antiphon/base/error.h>

#include <algorithm>

namespace antiphon::backbone {

void MoeLmOptions::put_into(nn::DecoderOptions& decoder) const {
  if (num_experts_per_tok > num_experts)
    fail(ErrorKind::config,
         fmt::format("num_experts_per_tok = {} is more than num_experts = {}", num_experts_per_tok, num_experts));
  auto& moe = decoder.moe;
  moe.experts = num_experts, moe.top_k = num_experts_per_tok, moe.normalize = norm_topk_prob;
  moe.intermediate_size = moe_intermediate_size ? moe_intermediate_size : decoder.intermediate_size;
  moe.balance = output_router_logits ? router_aux_loss_coef : 0, moe.router_z = router_z_loss_coef;
  moe.capacity = {expert_capacity_factor, token_drop_policy == "probs"};
  for (int64_t layer = 0; layer < decoder.num_layers; ++layer) {
    const bool sparse = (layer + 1) % decoder_sparse_step == 0;
    if (!sparse || std::ranges::find(mlp_only_layers, layer) != mlp_only_layers.end())
      decoder.dense_layers.push_back(layer);
  }
  if (static_cast<int64_t>(decoder.dense_layers.size()) == decoder.num_layers)
    fail(ErrorKind::config,
         fmt::format("none of {} layers would have experts (decoder_sparse_step = {}, mlp_only_layers of {})",
                     decoder.num_layers, decoder_sparse_step, mlp_only_layers.size()),
         "use the dense model's plugin, or give other layers");
}

void read_stacked_experts(NameMap& map) {
  const std::string theirs = "model.layers.{}.mlp.experts.", ours = "layers.{}.mlp.experts.*.";
  map.rules.insert(map.rules.begin(), {{theirs + "gate_up_proj", ours + "[gate_proj,up_proj].weight", true},
                                       {theirs + "down_proj", ours + "down_proj.weight", true}});
}

ForeignKeys keys_of_experts() {
  return {.options = {{"num_experts_per_tok", "num_experts_per_tok"},
                      {"moe_intermediate_size", "moe_intermediate_size", 1},
                      {"norm_topk_prob", "norm_topk_prob"},
                      {"decoder_sparse_step", "decoder_sparse_step"},
                      {"mlp_only_layers", "mlp_only_layers"},
                      {"output_router_logits", "output_router_logits"},
                      {"router_aux_loss_coef", "router_aux_loss_coef"}},
          .fixed = {{"partial_rotary_factor", {1}}}};
}

}  // namespace antiphon::backbone
