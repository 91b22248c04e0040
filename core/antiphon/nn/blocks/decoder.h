// One causal transformer for all backbones; a plugin turns its config.json into these options.
#pragma once
#include <antiphon/component/language_model.h>
#include <antiphon/component/token_table.h>
#include <antiphon/nn/attention/attention.h>
#include <antiphon/nn/attention/rope.h>
#include <antiphon/nn/blocks/block_mlp.h>
#include <antiphon/nn/blocks/moe.h>
#include <antiphon/nn/norm.h>
#include <antiphon/nn/pipeline_stage.h>
#include <antiphon/nn/token_slices.h>

#include <memory>
#include <string>

namespace antiphon::config {
class Problems;
}

namespace antiphon::nn {

struct DecoderOptions {
  int64_t vocab_size = 0, hidden_size = 0, intermediate_size = 0;
  int64_t num_layers = 0, num_heads = 0, num_kv_heads = 0, head_size = 0;
  int64_t max_positions = 0;
  NormKind norm = NormKind::rms;
  double norm_eps = 1e-5;
  double rope_theta = 10000.0;
  int64_t rotary_size = 0;  // leading part of a head that is rotated; 0: all of it
  RopeScaling rope_scaling;
  std::vector<int64_t> rope_axes;  // for each frequency the axis of its positions; none: they have one axis
  bool qkv_bias = false, output_bias = false, mlp_bias = false;
  bool qk_norm = false;  // each head of the queries and keys is normalized before it is rotated, by a norm of this kind
  // Queries are multiplied by 1 + this · log(1 + ⌊position / rope_scaling.original_max_positions⌋), as in Llama 4
  // (transformers: models/ministral3, get_llama_4_attn_scale).
  double query_temperature = 0;
  double score_scale = 0;     // of queries times keys; 0: 1 / sqrt(head_size)
  double score_cap = 0;       // see Sight
  bool branch_norms = false;  // what a branch gives is normalized, too, before it is added
  std::string activation = "silu";
  bool gated_mlp = true;  // down(act(gate(x)) · up(x)), else down(act(up(x)))
  bool tie_embeddings = false;
  // Of the embeddings of text, in the precision of the embedding; of each branch where it is added; of the logits.
  double embed_multiplier = 1, branch_multiplier = 1;
  LogitRule logits;
  // Layers from `first_window_layer` on but `full_layers` see the last `window` tokens only, the query's own included;
  // 0: all tokens.
  int64_t window = 0, first_window_layer = 0;
  std::vector<int64_t> full_layers;
  double window_rope_theta = 0;  // base of the layers with a window, whose frequencies are not scaled; 0: as of all
  bool media_see_all = false;    // the embeddings of a part of a medium see each other, whatever their order
  // Experts in all layers but these.
  MoeOptions moe;
  std::vector<int64_t> dense_layers;
};

// Pre-norm block: x + attention(norm(x)), then x + mlp(norm(x)), as in Llama (Touvron et al. 2023) and its relatives;
// or with norms after the branches, too, as in Gemma 2 (Team et al. 2024).
class DecoderLayer : public Module {
 public:
  DecoderLayer(const DecoderOptions& options, int64_t index);
  // `losses`: of routers of experts while training, or nullptr.
  at::Tensor forward(const at::Tensor& x_td, const RopeTable& rope, const DecoderInput& input, size_t layer,
                     const std::shared_ptr<RouterLosses>& losses) const;
  // From then on x is the slice of this process; of its part it keeps some of the heads and of the MLP's inner values.
  void share(const DecoderOptions& options, const TokenSlices& slices);
  void share_experts(comm::Group& group, comm::Group* slices);
  bool has_window() const { return sight_.window > 0; }

 private:
  template <class T>
  friend class LayerStep;
  friend bool fits_layer_step(const DecoderLayer&, const at::Tensor&, const DecoderInput&, size_t);
  at::Tensor attend(const at::Tensor& x_td, const RopeTable& rope, const DecoderInput& input, size_t layer) const;
  // Around what parts share: all tokens of the context in, the slice of the sum out.
  at::Tensor entered(const at::Tensor& x_td, int64_t tokens) const;
  at::Tensor left(const at::Tensor& x_td, int64_t tokens) const;
  at::Tensor attend_all(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const DecoderInput& input,
                        size_t layer) const;
  // What a branch adds.
  at::Tensor added(const std::unique_ptr<Norm>& norm, const at::Tensor& y_td) const;
  int64_t head_size_, kv_repeats_ = 1;
  Sight sight_;
  double query_multiplier_, branch_multiplier_;
  TokenSlices slices_;
  bool is_block_of_step_;  // decoder_step.h
  Norm input_norm_, post_attention_norm_;
  Linear q_proj_, k_proj_, v_proj_, o_proj_;
  std::unique_ptr<BlockMlp> mlp_;  // or
  std::unique_ptr<MixtureOfExperts> experts_;
  std::unique_ptr<Norm> q_norm_, k_norm_;                          // over the values of a head
  std::unique_ptr<Norm> attention_output_norm_, mlp_output_norm_;  // or nullptr
};

// Parameters: embed_tokens, layers.N.{input_norm, self_attn.{q,k,v,o}_proj, self_attn.{q,k}_norm (if there are any),
// attention_output_norm (if branches have norms), post_attention_norm, mlp.{gate,up,down}_proj (gate if the MLP is
// gated; or of experts: moe.h), mlp_output_norm (as before)}, norm, and lm_head if the embeddings are not tied.
class Decoder : public Module {
 public:
  explicit Decoder(const DecoderOptions& options);
  const DecoderOptions& options() const { return options_; }
  at::Tensor embed(const at::Tensor& ids) const;
  at::Tensor forward(const DecoderInput& input) const;
  // Dequantised if the head is quantised.
  at::Tensor head_weight() const;
  at::Tensor logits(const at::Tensor& hidden_nd) const;
  AddedProducts added_products(const at::Tensor& hidden_nd) const { return head_table_.added(hidden_nd); }
  // Keeps the linear layers as `format` (Linear::quantize), and the head, with tied embeddings, as int8; beside nf4 as
  // it is.
  Quantization quantize(const std::string& format);
  KvShape kv_shape() const;
  int64_t position_axes() const { return rope_.axes(); }
  std::vector<Module*> blocks();
  void share(const SharedBy& by);  // see LanguageModel
  TokenPart head_part() const { return {by_.group, first_token_}; }

 private:
  bool is_divided() const { return slices_.all || by_.experts || stage_; }
  void divide();
  void check_parts(config::Problems& problems) const;
  void check_contexts(config::Problems& problems) const;
  void check_experts(config::Problems& problems) const;
  void check_stages(config::Problems& problems) const;
  bool learns_to_read() const { return embed_tokens_.requires_grad() || embedding_table_.learns_to_read(); }
  at::Tensor stored_rows(const at::Tensor& ids, bool of_head) const;
  at::Tensor scaled(const at::Tensor& x) const;
  at::Tensor products(const at::Tensor& hidden_nd) const;
  void deal_out();
  std::vector<int64_t> dealt_out() const;
  std::vector<PipelineStage::Range> ranges();
  at::Tensor entered(DecoderInput& input, const std::shared_ptr<RouterLosses>& losses) const;
  std::shared_ptr<RouterLosses> router_losses(const DecoderInput& input) const;
  DecoderOptions options_;
  at::Tensor embed_tokens_, lm_head_;
  TokenTable embedding_table_, head_table_;
  std::shared_ptr<const QuantizedWeight> quantized_head_;
  std::vector<std::unique_ptr<DecoderLayer>> layers_;
  Norm norm_;
  Rope rope_;
  std::unique_ptr<Rope> window_rope_;  // of layers with a window, if it is another
  SharedBy by_;
  TokenSlices slices_;
  std::unique_ptr<PipelineStage> stage_;
  int64_t first_token_ = 0;
};

}  // namespace antiphon::nn
