// How the parameters of a decoder are divided among processes.
#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <antiphon/config/schema.h>
#include <antiphon/nn/blocks/decoder.h>
#include <antiphon/nn/blocks/run_blocks.h>
#include <antiphon/nn/token_slices.h>

#include <algorithm>
#include <numeric>

namespace antiphon::nn {

void DecoderLayer::share(const DecoderOptions& o, const TokenSlices& slices) {
  slices_ = slices;
  if (slices.contexts) {  // key and value heads are repeated until there are some for each
    const int64_t parts = slices.parts ? slices.parts->size() : 1, heads = std::max<int64_t>(1, o.num_kv_heads / parts);
    kv_repeats_ = slices.contexts->size() / std::gcd(heads, int64_t{slices.contexts->size()});
  }
  for (auto* projection : {&q_proj_, &k_proj_, &v_proj_, &o_proj_}) projection->together = slices.all;
  if (mlp_)
    for (auto& site : mlp_->sites()) site.linear->together = slices.all;
  if (!slices.parts) return;
  const int rank = slices.parts->rank(), size = slices.parts->size();
  const auto q = part_of(o.num_heads, rank, size), kv = kv_heads_of(o.num_kv_heads, rank, size),
             inner = part_of(o.intermediate_size, rank, size);
  q_proj_.keep_outputs(q.begin * head_size_, q.size * head_size_);
  for (auto* projection : {&k_proj_, &v_proj_}) projection->keep_outputs(kv.begin * head_size_, kv.size * head_size_);
  o_proj_.keep_inputs(q.begin * head_size_, q.size * head_size_, *slices.parts);
  if (!mlp_) return;
  for (auto* projection : {mlp_->gate.get(), &mlp_->up})
    if (projection) projection->keep_outputs(inner.begin, inner.size);
  mlp_->down.keep_inputs(inner.begin, inner.size, *slices.parts);
}

void DecoderLayer::share_experts(comm::Group& group, comm::Group* slices) {
  if (experts_) experts_->share(group, slices);
}

void Decoder::share(const SharedBy& by) {
  by_ = by, slices_ = {by.group, by.contexts, by.slices};
  config::Problems problems;
  check_parts(problems), check_contexts(problems), check_experts(problems), check_stages(problems);
  problems.throw_if_any();
  if (by.group) divide();
  for (auto& layer : layers_) {
    if (by.slices) layer->share(options_, slices_);
    if (by.experts) layer->share_experts(*by.experts, by.slices);
  }
  if (by.stages) deal_out();
}

void Decoder::check_parts(config::Problems& problems) const {
  if (!by_.group) return;
  const auto& o = options_;
  const int size = by_.group->size();
  if (o.num_heads % size != 0 || (o.num_kv_heads % size != 0 && size % o.num_kv_heads != 0))
    problems.add(
        {},
        fmt::format("parallel.tensor = {} does not divide the {} heads and {} key and value heads", size, o.num_heads,
                    o.num_kv_heads),
        "choose a number that divides the heads, and that divides the key and value heads or is a multiple of them");
  if (o.intermediate_size < size || o.vocab_size < size)
    problems.add({}, fmt::format("parallel.tensor = {} is more than the {} inner values or {} tokens", size,
                                 o.intermediate_size, o.vocab_size));
}

void Decoder::check_contexts(config::Problems& problems) const {
  if (!by_.contexts) return;
  const int contexts = by_.contexts->size();
  const int64_t parts = by_.group ? by_.group->size() : 1, heads = options_.num_heads / parts,
                kv_heads = std::max<int64_t>(1, options_.num_kv_heads / parts);
  if (heads % contexts == 0) return;
  problems.add({},
               fmt::format("parallel.context = {} does not divide the {} heads and {} key and value heads of each part",
                           contexts, heads, kv_heads),
               "choose a number that divides the heads");
}

void Decoder::check_experts(config::Problems& problems) const {
  const auto& moe = options_.moe;
  const int size = by_.experts ? by_.experts->size() : 1;
  if (size > slices_.count() && moe.experts == 0)
    problems.add({}, "parallel.expert divides experts, and the language model has none", "use parallel.expert = 1");
  if (moe.experts > 0 && size > moe.experts)
    problems.add(
        {}, fmt::format("{} processes share the {} experts of a layer", size, moe.experts),
        "lower parallel.expert, or parallel.tensor and parallel.context, whose processes have some of them each");
}

void Decoder::check_stages(config::Problems& problems) const {
  if (!by_.stages) return;
  const auto blocks = dealt_out();
  const auto count = static_cast<size_t>(by_.stages->size() * by_.chunks);
  const auto given = fmt::format("parallel.layers_per_stage = [{}]", fmt::join(blocks, ", "));
  const auto sum = std::accumulate(blocks.begin(), blocks.end(), int64_t{0});
  if (blocks.size() != count || std::ranges::any_of(blocks, [](int64_t n) { return n < 0; }))
    problems.add({}, fmt::format("{}; expected {} numbers of layers, one for each range of each stage", given, count),
                 "name as many, or leave it out");
  else if (sum != options_.num_layers)
    problems.add({}, fmt::format("{} deals out {} layers, and the model has {}", given, sum, options_.num_layers),
                 fmt::format("choose numbers that add up to {}, or leave it out", options_.num_layers));
}

void Decoder::divide() {
  const auto tokens = part_of(options_.vocab_size, by_.group->rank(), by_.group->size());
  first_token_ = tokens.begin;
  keep_part(embed_tokens_, 0, tokens.begin, tokens.size);
  if (!options_.tie_embeddings) keep_part(lm_head_, 0, tokens.begin, tokens.size);
  for (auto* table : {&embedding_table_, &head_table_}) table->keep_tokens(tokens.begin, tokens.size, *by_.group);
}

// How many blocks each range has.
std::vector<int64_t> Decoder::dealt_out() const {
  if (!by_.blocks_of_ranges.empty()) return by_.blocks_of_ranges;
  const auto count = by_.stages->size() * by_.chunks;
  std::vector<int64_t> blocks;
  for (int r = 0; r < count; ++r) blocks.push_back(part_of(options_.num_layers, r, count).size);
  return blocks;
}

std::vector<PipelineStage::Range> Decoder::ranges() {
  std::vector<PipelineStage::Range> ranges;
  int64_t block = 0;
  bool before = by_.learns_before || learns_to_read();
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
  const bool either = options_.tie_embeddings && (first || last), reads = first || either, writes = last || either;
  keep_own(embed_tokens_, reads);
  if (!options_.tie_embeddings) keep_own(lm_head_, writes);
  embedding_table_.keep(reads), head_table_.keep(writes);
  norm_.keep(last);
  for (size_t i = 0; i < layers_.size(); ++i) {
    const bool own = stage_->has(static_cast<int64_t>(i));
    for (const auto& site : layers_[i]->sites())
      for (const auto& adapter : site.linear->adapters) adapter->keep(own);
    layers_[i]->keep(own);
  }
}

}  // namespace antiphon::nn
