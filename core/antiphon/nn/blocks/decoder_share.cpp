// How the parameters of a decoder are divided among processes.
#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <antiphon/base/error.h>
#include <antiphon/nn/blocks/decoder.h>
#include <antiphon/nn/blocks/run_blocks.h>
#include <antiphon/nn/token_slices.h>

#include <algorithm>
#include <numeric>

namespace antiphon::nn {

void DecoderLayer::share(const DecoderOptions& o, const TokenSlices& slices) {
  slices_ = slices;
  if (slices.contexts) {  // key and value heads are repeated until there are some for each
    const int64_t heads = o.num_kv_heads / (slices.parts ? slices.parts->size() : 1);
    kv_repeats_ = slices.contexts->size() / std::gcd(heads, int64_t{slices.contexts->size()});
  }
  if (!slices.parts) return;
  const int rank = slices.parts->rank(), size = slices.parts->size();
  const auto q = part_of(o.num_heads, rank, size), kv = part_of(o.num_kv_heads, rank, size),
             inner = part_of(o.intermediate_size, rank, size);
  q_proj_.keep_outputs(q.begin * head_size_, q.size * head_size_);
  for (auto* projection : {&k_proj_, &v_proj_}) projection->keep_outputs(kv.begin * head_size_, kv.size * head_size_);
  o_proj_.keep_inputs(q.begin * head_size_, q.size * head_size_, rank == 0);
  if (!mlp_) return;
  for (auto* projection : {mlp_->gate.get(), &mlp_->up})
    if (projection) projection->keep_outputs(inner.begin, inner.size);
  mlp_->down.keep_inputs(inner.begin, inner.size, rank == 0);
}

void DecoderLayer::share_experts(comm::Group& group) {
  if (experts_) experts_->share(group);
}

void Decoder::share(const SharedBy& by) {
  by_ = by, slices_ = {by.group, by.contexts, by.slices};
  check_experts();
  if (by.group) divide();
  if (by.contexts) check_contexts();
  for (auto& layer : layers_) {
    if (by.slices) layer->share(options_, slices_);
    if (by.experts) layer->share_experts(*by.experts);
  }
  if (by.stages) deal_out();
}

void Decoder::check_experts() const {
  const bool some = options_.moe.experts > 0;
  if (by_.experts && by_.experts->size() > slices_.count() && !some)
    fail(ErrorKind::config, "parallel.expert divides experts, and the language model has none",
         "use parallel.expert = 1");
  if (by_.stages && some && options_.moe.balance > 0)
    fail(ErrorKind::config,
         "the load-balancing loss is of all layers together, and parallel.pipeline gives each process some of them",
         "use parallel.pipeline = 1, or set output_router_logits = false");
}

void Decoder::divide() {
  const auto& o = options_;
  auto& group = *by_.group;
  const int size = group.size();
  if (o.num_heads % size != 0 || o.num_kv_heads % size != 0)
    fail(ErrorKind::config,
         fmt::format("parallel.tensor = {} does not divide the {} heads and {} key and value heads", size, o.num_heads,
                     o.num_kv_heads),
         "choose a number that divides both");
  if (o.intermediate_size < size || o.vocab_size < size)
    fail(ErrorKind::config, fmt::format("parallel.tensor = {} is more than the {} inner values or {} tokens", size,
                                        o.intermediate_size, o.vocab_size));
  const auto tokens = part_of(o.vocab_size, group.rank(), size);
  first_token_ = tokens.begin;
  keep_part(embed_tokens_, 0, tokens.begin, tokens.size);
  if (!o.tie_embeddings) keep_part(lm_head_, 0, tokens.begin, tokens.size);
}

void Decoder::check_contexts() const {
  const int contexts = by_.contexts->size();
  const int64_t parts = by_.group ? by_.group->size() : 1, heads = options_.num_heads / parts,
                kv_heads = options_.num_kv_heads / parts, repeats = contexts / std::gcd(kv_heads, int64_t{contexts});
  if (heads % contexts == 0 && heads % (kv_heads * repeats) == 0) return;
  fail(ErrorKind::config,
       fmt::format("parallel.context = {} does not divide the {} heads and {} key and value heads of each part",
                   contexts, heads, kv_heads),
       "choose a number that divides the heads");
}

// How many blocks each range has.
std::vector<int64_t> Decoder::dealt_out() const {
  const auto count = by_.stages->size() * by_.chunks;
  auto blocks = by_.blocks_of_ranges;
  for (int r = 0; by_.blocks_of_ranges.empty() && r < count; ++r)
    blocks.push_back(part_of(options_.num_layers, r, count).size);
  const auto given = fmt::format("parallel.layers_per_stage = [{}]", fmt::join(blocks, ", "));
  const bool negative = std::ranges::any_of(blocks, [](int64_t n) { return n < 0; });
  if (static_cast<int>(blocks.size()) != count || negative)
    fail(ErrorKind::config,
         fmt::format("{}; expected {} numbers of layers, one for each range of each stage", given, count),
         "name as many, or leave it out");
  const auto sum = std::accumulate(blocks.begin(), blocks.end(), int64_t{0});
  if (sum != options_.num_layers)
    fail(ErrorKind::config,
         fmt::format("{} deals out {} layers, and the model has {}", given, sum, options_.num_layers),
         fmt::format("choose numbers that add up to {}, or leave it out", options_.num_layers));
  return blocks;
}

std::vector<PipelineStage::Range> Decoder::ranges() {
  std::vector<PipelineStage::Range> ranges;
  int64_t block = 0;
  bool before = by_.learns_before || embed_tokens_.requires_grad();
  for (const auto size : dealt_out()) {
    ranges.push_back({block, block + size, before});
    for (; block < ranges.back().end; ++block) before |= learns(*layers_[static_cast<size_t>(block)]);
  }
  return ranges;
}

// Each block goes to the stage that computes it; the embeddings to the first, the head to the last, the same to both.
void Decoder::deal_out() {
  stage_ = std::make_unique<PipelineStage>(*by_.stages, ranges());
  const bool first = stage_->has_range(0), last = stage_->has_range(stage_->ranges() - 1);
  const auto keep_own = [&](at::Tensor& tensor, bool all) { keep_part(tensor, 0, 0, all ? tensor.size(0) : 0); };
  keep_own(embed_tokens_, first || (last && options_.tie_embeddings));
  if (!options_.tie_embeddings) keep_own(lm_head_, last);
  norm_.keep(last);
  for (size_t i = 0; i < layers_.size(); ++i) {
    const bool own = stage_->has(static_cast<int64_t>(i));
    for (const auto& site : layers_[i]->sites())
      for (const auto& adapter : site.linear->adapters) adapter->keep(own);
    layers_[i]->keep(own);
  }
}

}  // namespace antiphon::nn
