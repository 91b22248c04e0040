// What language models with mixtures of experts share, beside decoder_lm.h.
#pragma once
#include <antiphon/backbone/decoder_lm.h>

namespace antiphon::backbone {

struct MoeLmOptions {
  int64_t num_experts = 8, num_experts_per_tok = 2, moe_intermediate_size = 0, decoder_sparse_step = 1;
  bool norm_topk_prob = true, output_router_logits = false;
  double router_aux_loss_coef = 0.001, router_z_loss_coef = 0, expert_capacity_factor = 0;
  std::string token_drop_policy = "probs";
  std::vector<int64_t> mlp_only_layers;

  // Into a decoder with these layers. Error(config) if no layer would have experts, or fewer than a token goes through.
  void put_into(nn::DecoderOptions& decoder) const;
};

// For files that hold the experts of a layer in one tensor, as transformers has them in memory; they are never written
// so.
void read_stacked_experts(NameMap& map);

// The keys of config.json of families whose experts are not all alike with the dense layers, but for their number.
ForeignKeys keys_of_experts();

template <class Options>
config::Table<Options> with_experts(config::Table<Options> table) {
  using M = MoeLmOptions;
  auto of = []<class T>(T M::*member) -> T Options::* { return member; };
  return std::move(table)
      .field("num_experts", of(&M::num_experts), "experts of a layer", {.min = 1, .max = 1 << 12})
      .field("num_experts_per_tok", of(&M::num_experts_per_tok), "experts that each token goes through",
             {.min = 1, .max = 1 << 12})
      .field(
          "output_router_logits", of(&M::output_router_logits),
          "training adds router_aux_loss_coef times the load-balancing loss, which the metric moe/load_balance shows")
      .field("router_aux_loss_coef", of(&M::router_aux_loss_coef), "see output_router_logits", {.min = 0, .max = 1e3})
      .field("router_z_loss_coef", of(&M::router_z_loss_coef),
             "training adds this times the mean square of the router's logsumexp, summed over layers; 0: nothing. The "
             "metric moe/router_z shows it",
             {.min = 0, .max = 1e3})
      .field("expert_capacity_factor", of(&M::expert_capacity_factor),
             "in training an expert takes so many times its even share of a batch's tokens at most; 0: all. The metric "
             "moe/dropped shows the share of choices that were dropped",
             {.min = 0, .max = 1e6})
      .field("token_drop_policy", of(&M::token_drop_policy),
             "which tokens it keeps: those that weigh most, or the first of the batch",
             {.choices = {"probs", "position"}});
}

// Of families whose experts are not all alike with the dense layers.
template <class Options>
config::Table<Options> with_dense_layers(config::Table<Options> table) {
  using M = MoeLmOptions;
  auto of = []<class T>(T M::*member) -> T Options::* { return member; };
  return std::move(table)
      .field("moe_intermediate_size", of(&M::moe_intermediate_size), "width of an expert's MLP; 0: intermediate_size",
             {.min = 0, .max = 1 << 22})
      .field("norm_topk_prob", of(&M::norm_topk_prob), "the weights of a token's experts add up to 1")
      .field("decoder_sparse_step", of(&M::decoder_sparse_step), "every so-many-th layer has experts",
             {.min = 1, .max = 1000})
      .field("mlp_only_layers", of(&M::mlp_only_layers), "layers without experts, by number");
}

}  // namespace antiphon::backbone
