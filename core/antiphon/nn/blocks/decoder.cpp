#include <antiphon/nn/blocks/decoder.h>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/component/auxiliary_losses.h>
#include <antiphon/nn/attention/attention.h>
#include <antiphon/nn/attention/cached_attention.h>
#include <antiphon/nn/attention/prefix.h>
#include <antiphon/nn/blocks/decoder_step.h>
#include <antiphon/nn/blocks/expert_exchange.h>
#include <antiphon/nn/blocks/later_states.h>
#include <antiphon/nn/blocks/run_blocks.h>
#include <antiphon/nn/keyed_dropout.h>
#include <antiphon/nn/linear/few_rows.h>
#include <antiphon/nn/linear/quantized_weight.h>
#include <antiphon/nn/rows_of_part.h>
#include <antiphon/nn/token_slices.h>

#include <algorithm>
#include <cmath>

namespace antiphon::nn {
namespace {

bool has_experts(const DecoderOptions& o, int64_t layer) {
  return o.moe.experts > 0 && std::ranges::find(o.dense_layers, layer) == o.dense_layers.end();
}

bool is_windowed(const DecoderOptions& o, int64_t layer) {
  return layer >= o.first_window_layer && std::ranges::find(o.full_layers, layer) == o.full_layers.end();
}

// Attention itself divides by the root of head_size.
double query_multiplier(const DecoderOptions& o) {
  return o.score_scale > 0 ? o.score_scale * std::sqrt(static_cast<double>(o.head_size)) : 1;
}

// [tokens] in `dtype`; undefined: all are 1.
at::Tensor query_multipliers(const DecoderOptions& o, const at::Tensor& positions_t, at::ScalarType dtype) {
  if (o.query_temperature == 0) return {};
  const auto periods = (positions_t / static_cast<double>(o.rope_scaling.original_max_positions)).floor();
  return (1 + o.query_temperature * (1 + periods).log()).to(dtype);
}

// Where the last token of each token's text is [tokens]. One token for each text: no list from the host, as the step
// may be recorded.
at::Tensor last_positions(const DecoderInput& input) {
  const auto positions_t = input.positions_at[0];
  if (std::ranges::all_of(input.lengths, [](int64_t n) { return n == 1; })) return positions_t;
  std::vector<int64_t> last;
  for (const int64_t n : input.lengths) last.insert(last.end(), static_cast<size_t>(n), std::ssize(last) + n - 1);
  return positions_t.index_select(0, at::tensor(last, at::kLong).to(positions_t.device()));
}

}  // namespace

DecoderLayer::DecoderLayer(const DecoderOptions& o, int64_t index)
    : head_size_(o.head_size),
      sight_{is_windowed(o, index) ? o.window : 0, o.score_cap, o.media_see_all},
      query_multiplier_(query_multiplier(o)),
      branch_multiplier_(o.branch_multiplier),
      is_block_of_step_(is_block_of_step(o)),
      input_norm_(o.norm, o.hidden_size, o.norm_eps),
      post_attention_norm_(o.norm, o.hidden_size, o.norm_eps),
      q_proj_(o.hidden_size, o.num_heads * o.head_size, o.qkv_bias),
      k_proj_(o.hidden_size, o.num_kv_heads * o.head_size, o.qkv_bias),
      v_proj_(o.hidden_size, o.num_kv_heads * o.head_size, o.qkv_bias),
      o_proj_(o.num_heads * o.head_size, o.hidden_size, o.output_bias) {
  add("input_norm", input_norm_);
  add("self_attn.q_proj", q_proj_);
  add("self_attn.k_proj", k_proj_);
  add("self_attn.v_proj", v_proj_);
  add("self_attn.o_proj", o_proj_);
  if (o.qk_norm) {
    q_norm_ = std::make_unique<Norm>(o.norm, o.head_size, o.norm_eps);
    k_norm_ = std::make_unique<Norm>(o.norm, o.head_size, o.norm_eps);
    add("self_attn.q_norm", *q_norm_);
    add("self_attn.k_norm", *k_norm_);
  }
  const auto add_branch_norm = [&](const char* name, std::unique_ptr<Norm>& norm) {
    if (!o.branch_norms) return;
    norm = std::make_unique<Norm>(o.norm, o.hidden_size, o.norm_eps);
    add(name, *norm);
  };
  add_branch_norm("attention_output_norm", attention_output_norm_);
  add("post_attention_norm", post_attention_norm_);
  if (has_experts(o, index)) {
    experts_ = std::make_unique<MixtureOfExperts>(o.hidden_size, o.activation, o.moe);
    add("mlp", *experts_);
  } else {
    mlp_ = std::make_unique<BlockMlp>(
        BlockMlpOptions{o.hidden_size, o.intermediate_size, o.activation, o.gated_mlp, o.mlp_bias});
    add("mlp", *mlp_);
  }
  add_branch_norm("mlp_output_norm", mlp_output_norm_);
}

at::Tensor DecoderLayer::attend(const at::Tensor& x_td, const RopeTable& rope, const DecoderInput& input,
                                size_t layer) const {
  auto heads = [&](const Linear& projection) { return projection.forward(x_td).view({x_td.size(0), -1, head_size_}); };
  auto q = heads(q_proj_), k = heads(k_proj_);
  const auto v = heads(v_proj_);
  if (q_norm_) q = q_norm_->forward(q), k = k_norm_->forward(k);
  q = apply_rope(q, rope), k = apply_rope(k, rope);
  if (query_multiplier_ != 1) q = q * query_multiplier_;
  if (rope.query_multiplier_t.defined()) q = q * rope.query_multiplier_t.view({-1, 1, 1});
  if (slices_.contexts) return o_proj_.forward(attend_all(q, k, v, input, layer));
  if (input.prefix) return o_proj_.forward(input.prefix->attention(q, k, v, input.lengths, layer, sight_, input.media));
  return o_proj_.forward(input.cache ? cached_attention(q, k, v, input, layer, sight_)
                                     : packed_attention(q, k, v, input.lengths, sight_, input.media));
}

// Of all tokens, for some of the heads.
at::Tensor DecoderLayer::attend_all(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                    const DecoderInput& input, size_t layer) const {
  auto& group = *slices_.contexts;
  const auto sizes = slices_.in_contexts(input.tokens());
  const auto repeated = [&](const at::Tensor& x) {
    const std::vector<int64_t> shape{x.size(0), x.size(1), kv_repeats_, x.size(2)};
    return to_heads(x.unsqueeze(2).expand(shape).flatten(1, 2), sizes, group);
  };
  const auto q_thd = to_heads(q, sizes, group), k_thd = repeated(k), v_thd = repeated(v);
  const auto y = input.prefix ? input.prefix->attention(q_thd, k_thd, v_thd, input.lengths, layer, sight_, input.media)
                              : packed_attention(q_thd, k_thd, v_thd, input.lengths, sight_, input.media);
  return to_tokens(y.view({y.size(0), -1, head_size_}), sizes, group).flatten(1, 2);
}

at::Tensor DecoderLayer::forward(const at::Tensor& x_td, const RopeTable& rope, const DecoderInput& input, size_t layer,
                                 const std::shared_ptr<RouterLosses>& losses) const {
  if (fits_layer_step(*this, x_td, input, layer)) return layer_step(*this, x_td, rope, input, layer);
  const auto tokens = input.tokens();
  const DropoutRows rows(slices_.contexts ? slices_.of_context(tokens).begin : DropoutRows::first());
  const auto attended = left(attend(entered(input_norm_.forward(x_td), tokens), rope, input, layer), tokens);
  const auto x = x_td + added(attention_output_norm_, o_proj_.after_sum(attended));
  const auto normal = post_attention_norm_.forward(x);
  if (mlp_)
    return x + added(mlp_output_norm_, mlp_->down.after_sum(left(mlp_->forward(entered(normal, tokens)), tokens)));
  const auto [begin, size] = slices_.own(tokens);
  const int64_t padding = std::clamp(begin + size - (tokens - input.padding), int64_t{0}, size);
  return x + added(mlp_output_norm_, experts_->forward(normal, padding, losses));
}

at::Tensor DecoderLayer::added(const std::unique_ptr<Norm>& norm, const at::Tensor& y_td) const {
  const auto y = norm ? norm->forward(y_td) : y_td;
  return branch_multiplier_ == 1 ? y : y * branch_multiplier_;
}

at::Tensor DecoderLayer::entered(const at::Tensor& x_td, int64_t tokens) const {
  return slices_.parts ? whole_tokens(x_td, slices_.in_parts(tokens), *slices_.parts) : x_td;
}

at::Tensor DecoderLayer::left(const at::Tensor& x_td, int64_t tokens) const {
  return slices_.parts ? slice_of_sum(x_td, slices_.in_parts(tokens), *slices_.parts) : x_td;
}

Decoder::Decoder(const DecoderOptions& options)
    : options_(options),
      embedding_table_([this](const at::Tensor& ids) { return stored_rows(ids, false); }, options.vocab_size,
                       options.hidden_size, /*is_head=*/false, options.tie_embeddings),
      head_table_([this](const at::Tensor& ids) { return stored_rows(ids, true); }, options.vocab_size,
                  options.hidden_size, /*is_head=*/true, options.tie_embeddings),
      norm_(options.norm, options.hidden_size, options.norm_eps),
      rope_(options.rotary_size ? options.rotary_size : options.head_size, options.rope_theta, options.rope_scaling,
            options.rope_axes) {
  if (options.window_rope_theta > 0)
    window_rope_ = std::make_unique<Rope>(options.rotary_size ? options.rotary_size : options.head_size,
                                          options.window_rope_theta, RopeScaling{}, options.rope_axes);
  add("embed_tokens", embed_tokens_, {options.vocab_size, options.hidden_size}, Init::normal_002, Role::embedding);
  for (int64_t i = 0; i < options.num_layers; ++i) {
    layers_.push_back(std::make_unique<DecoderLayer>(options, i));
    add(fmt::format("layers.{}", i), *layers_.back());
  }
  add("norm", norm_);
  if (!options.tie_embeddings)
    add("lm_head", lm_head_, {options.vocab_size, options.hidden_size}, Init::normal_002, Role::embedding);
  embedding_table_.weight = &embed_tokens_, head_table_.weight = options.tie_embeddings ? &embed_tokens_ : &lm_head_;
  add("embed_tokens", embedding_table_), add("lm_head", head_table_);
}

// Of the embedding or of the head, which may be one.
at::Tensor Decoder::stored_rows(const at::Tensor& ids, bool of_head) const {
  if (quantized_head_ && (of_head || options_.tie_embeddings))
    return quantized_head_->rows(ids, norm_.weight().scalar_type());
  return at::embedding(of_head && !options_.tie_embeddings ? lm_head_ : embed_tokens_, ids);
}

at::Tensor Decoder::embed(const at::Tensor& ids) const {
  const auto rows_of = [&](const at::Tensor& rows) { return scaled(embedding_table_.rows(rows)); };
  return by_.group ? rows_of_part(ids, {first_token_, embed_tokens_.size(0)}, rows_of) : rows_of(ids);
}

// The multiplier is rounded as the embedding is (transformers: models/gemma3, Gemma3TextScaledWordEmbedding).
at::Tensor Decoder::scaled(const at::Tensor& x) const {
  if (options_.embed_multiplier == 1) return x;
  const auto multiplier = at::full({}, options_.embed_multiplier, at::TensorOptions().dtype(x.scalar_type()));
  return x * multiplier.item<double>();
}

at::Tensor Decoder::head_weight() const {
  if (quantized_head_) return quantized_head_->dequantized(norm_.weight().scalar_type());
  return options_.tie_embeddings ? embed_tokens_ : lm_head_;
}

at::Tensor Decoder::logits(const at::Tensor& hidden_nd) const {
  const auto added = added_products(hidden_nd);
  auto y = products(hidden_nd);
  if (added.inner_nr.defined()) y = y + nn::linear(added.inner_nr, added.outer_vr);
  return options_.logits.applied(added.with_columns(y));
}

at::Tensor Decoder::products(const at::Tensor& hidden_nd) const {
  const auto& head = options_.tie_embeddings ? embed_tokens_ : lm_head_;
  if (quantized_head_ && fits_few_rows(hidden_nd, hidden_nd))
    return multiply_few_rows(hidden_nd, quantized_head_->matrix(), {});
  if (!quantized_head_ && fits_few_rows(hidden_nd, head)) return multiply_few_rows(hidden_nd, matrix_of(head), {});
  return nn::linear(hidden_nd, matrix_like(head_weight(), hidden_nd));
}

Quantization Decoder::quantize(const std::string& format) {
  Quantization sum;
  const auto count = [&](const at::Tensor& weight) {
    if (weight.numel() == 0) return false;  // another stage's
    const bool fits = Linear::fits_format(weight, format);
    ++sum.total, sum.applied += fits, sum.bytes_before += static_cast<int64_t>(weight.nbytes());
    if (!fits) sum.bytes += static_cast<int64_t>(weight.nbytes());
    return fits;
  };
  for (auto& site : sites())
    if (count(site.linear->weight)) {
      site.linear->quantize(format);
      sum.bytes += site.linear->quantized_bytes();
    }
  auto& head = options_.tie_embeddings ? embed_tokens_ : lm_head_;
  if (format == "nf4" || !count(head)) return sum;
  // A 4-bit head changes the choice of tokens most for what it saves, so the head keeps 8 bits.
  quantized_head_ = std::make_shared<QuantizedWeight>(QuantizedWeight::of(head, "int8"));
  head = at::empty(head.sizes(), head.options().device(at::kMeta).requires_grad(false));
  sum.bytes += quantized_head_->bytes();
  return sum;
}

// What goes into the blocks of this pass; what is added after them comes with it.
at::Tensor Decoder::entered(DecoderInput& input, const std::shared_ptr<RouterLosses>& losses) const {
  const int64_t tokens = input.tokens();
  if (stage_ && !stage_->is_first()) {
    const auto begin = stage_->range().begin, rows = slices_.own(tokens).size + rows_for_later(input.added, begin);
    const auto all = stage_->received({rows, options_.hidden_size}, input.x_td.options(), losses);
    return without_later(all, input.added, begin);
  }
  const bool learns = by_.learns_before || learns_to_read();
  if (slices_.all) return slice_of_sum(input.x_td, slices_.in_all(tokens), *slices_.all, learns);
  return by_.experts && learns ? wanting_gradient(input.x_td) : input.x_td;
}

// Of a pass in training through experts; else nullptr.
std::shared_ptr<RouterLosses> Decoder::router_losses(const DecoderInput& input) const {
  const auto& moe = options_.moe;
  const auto* wanted = AuxiliaryLosses::now();
  if (!wanted || moe.experts == 0 || (moe.balance == 0 && moe.router_z == 0 && moe.capacity.factor == 0))
    return nullptr;
  const auto tokens = input.tokens() - input.padding;
  return std::make_shared<RouterLosses>(
      RouterLossOptions{moe.experts, moe.balance, moe.router_z, moe.capacity.factor > 0}, wanted->share(), tokens);
}

at::Tensor Decoder::forward(const DecoderInput& given) const {
  if (is_divided() && given.cache) fail(ErrorKind::internal, "a divided model has no cache of keys and values");
  if (given.added.after.size() > layers_.size())
    fail(ErrorKind::internal, "states are added after blocks that are not there");
  auto input = given;
  place_tokens(input);
  const auto context = slices_.of_context(input.tokens());
  const auto positions_at = input.positions_at.narrow(1, context.begin, context.size);
  const auto last_t = rope_.needs_last() ? last_positions(input).narrow(0, context.begin, context.size) : at::Tensor();
  auto rope = rope_.table(positions_at, input.x_td.scalar_type(), last_t);
  auto window_rope = window_rope_ ? window_rope_->table(positions_at, input.x_td.scalar_type()) : rope;
  rope.query_multiplier_t = window_rope.query_multiplier_t =
      query_multipliers(options_, positions_at[0], input.x_td.scalar_type());
  const auto losses = router_losses(input);
  const auto range = stage_ ? stage_->range() : PipelineStage::Range{0, options_.num_layers};
  const auto run = [rope, window_rope, input, losses](const DecoderLayer& layer, const at::Tensor& in, size_t i) {
    return layer.forward(in, layer.has_window() ? window_rope : rope, input, i, losses);
  };
  auto x = entered(input, losses);
  if (input.prefix) x = input.prefix->begun(x, range.begin, range.end);
  size_t done = static_cast<size_t>(range.begin);
  const auto end = static_cast<size_t>(range.end);
  // Between blocks and not within them, so that the gradient reaches what is added even if a block is computed again.
  for (; done < std::min(end, input.added.after.size()); ++done)
    x = run_blocks(layers_, done, done + 1, x, run).index_add(0, input.added.tokens_n, input.added.after[done]);
  x = run_blocks(layers_, done, end, x, run);
  advance_rows(input);
  if (stage_ && !stage_->is_last()) return stage_->sent(with_later(x, input.added, range.end), losses);
  if (losses) losses->finish(slices_.all), losses->tell(*AuxiliaryLosses::now());
  const auto y = norm_.forward(x);
  return by_.group ? whole_tokens(y, slices_.in_parts(input.tokens()), *by_.group) : y;
}

std::vector<Module*> Decoder::blocks() {
  std::vector<Module*> all;
  for (auto& layer : layers_) all.push_back(layer.get());
  return all;
}

KvShape Decoder::kv_shape() const { return {options_.num_layers, options_.num_kv_heads, options_.head_size}; }

}  // namespace antiphon::nn
