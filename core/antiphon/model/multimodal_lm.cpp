#include <antiphon/model/multimodal_lm.h>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/base/fail_lines.h>
#include <antiphon/base/names.h>
#include <antiphon/base/strings.h>
#include <antiphon/base/trace.h>
#include <antiphon/comm/group.h>
#include <antiphon/component/pipeline_pass.h>
#include <antiphon/model/embedding_places.h>
#include <antiphon/model/encode_media.h>
#include <antiphon/model/part_slot.h>
#include <antiphon/model/slot.h>
#include <antiphon/nn/attention/prefix.h>
#include <antiphon/nn/keyed_dropout.h>
#include <antiphon/nn/linear/linear.h>
#include <antiphon/nn/token_slices.h>

#include <algorithm>
#include <numeric>

namespace antiphon::model {
namespace {

bool takes(const Stream& stream, Modality modality) {
  return stream.modality() == modality || (modality == Modality::video && stream.video());
}

std::vector<TokenSpan> parts_of(const Batch& batch) {
  std::vector<TokenSpan> parts;
  for (const auto& media : batch.media) {
    int64_t begin = media.position;
    for (const auto tokens : media.item.part_tokens) {
      if (!media.is_prompt() && !media.within) parts.push_back({begin, tokens});
      begin += tokens;
    }
  }
  return parts;
}

}  // namespace

std::unique_ptr<MultimodalLm> MultimodalLm::build(ModelSpec& spec, const Width& width) {
  config::Problems problems;
  auto model = std::make_unique<MultimodalLm>();
  auto& llm = spec.llm;
  model->llm_ = build_slot<LanguageModel>(llm.plugin, {llm.weights, llm.part}, llm.options, "model.llm", problems);
  if (model->llm_) model->llm_->module().set_requires_grad(llm.trainable);
  const int64_t hidden_size = !model->llm_ ? 0 : width ? width(*model->llm_, problems) : model->llm_->hidden_size();
  for (const auto& [name, stream] : spec.streams)
    if (!stream.enabled) check_slots(name, stream, problems);
  std::erase_if(spec.streams, [](const auto& entry) { return !entry.second.enabled; });
  for (const auto& [name, stream] : spec.streams)
    if (!is_file_name(name))
      problems.add({}, fmt::format("'{}' cannot be a stream's name, by which its files are called", name), name_rule());
  for (auto& [name, stream_spec] : spec.streams)
    if (auto stream = Stream::build(name, stream_spec, hidden_size, problems))
      model->streams_[name] = std::move(stream);
  for (const auto& [name, stream] : model->streams_)
    if (model->llm_ && stream->taps() > model->llm_->most_added())
      problems.add(
          {},
          fmt::format("[model.streams.{}.connector] gives vectors for {} blocks of the language model; {} adds "
                      "such to {}",
                      name, stream->taps(), llm.plugin, model->llm_->most_added()),
          "use a language model that takes them, or a connector without taps");
  model->attach_all(spec, problems);
  problems.throw_if_any();
  model->spec_ = spec;
  for (const auto& part : model->parts())
    if (!part.part.empty()) model->whole_names_[part.path] = whole_names(part.weights, part.part);
  return model;
}

void MultimodalLm::attach_all(ModelSpec& spec, config::Problems& problems) {
  std::optional<PeftPart> llm;
  if (llm_)
    llm.emplace(llm_->module(), llm_->name_map(),
                origin_of(spec.llm.plugin, spec.llm.weights, spec.llm.part, "model.llm"),
                PeftTarget{.hidden_size = llm_->hidden_size(),
                           .embed = [this](const at::Tensor& ids) { return embeddings_of(ids); },
                           .kv = llm_->takes_prefix() ? kv_shape(llm_->state_shape()) : KvShape{}});
  attach_pefts({PartKind::llm, "llm"}, llm, spec.llm.peft, pefts_, problems);
  chooses_tokens_ = std::ranges::any_of(pefts_, [](const auto& peft) { return peft.tokens != TokenChoice::all; });
  if (llm_ && context() < 1)
    problems.add({},
                 fmt::format("[model.llm.peft] puts {} keys and values before every sequence, and the language model "
                             "has {} positions",
                             prefix_tokens(), llm_->max_positions()),
                 "use fewer tokens");
  for (auto& [name, stream] : streams_) {
    for (size_t i = 0; i < stream->encoders().size(); ++i) {
      auto& [slot, encoder] = stream->encoders()[i];
      const auto path = stream->encoder_path(i);
      const auto origin = origin_of(slot.plugin, slot.weights, slot.part, "model." + path);
      attach_pefts({PartKind::encoder, path}, PeftPart(encoder->module(), encoder->name_map(), origin), slot.peft,
                   pefts_, problems);
    }
    auto& connector = spec.streams.at(name).connector;
    const auto path = fmt::format("streams.{}.connector", name);
    const auto origin = origin_of(connector.plugin, connector.weights, connector.part, "model." + path);
    attach_pefts({PartKind::connector, path},
                 PeftPart(stream->connector().module(), NameMap{{{"{}", "{}"}}, {}, {}}, origin), connector.peft,
                 pefts_, problems);
    stream->write_encoders(spec.streams.at(name));
  }
  check_all_taken(pefts_, problems);
}

// Whole in each process; all of those that have the model together ask for them.
at::Tensor MultimodalLm::embeddings_of(const at::Tensor& ids) {
  auto x = is_first_stage() ? llm_->embed(ids).to(at::kFloat)
                            : at::empty({ids.size(0), llm_->hidden_size()}, at::TensorOptions(settings_.device));
  if (by_.group && is_first_stage()) by_.group->sum(x);
  if (by_.stages) by_.stages->broadcast(x, 0);
  return x;
}

std::vector<Site> MultimodalLm::sites() { return named_sites(llm_->module(), llm_->name_map()); }

std::vector<Part> MultimodalLm::parts() {
  std::vector<Part> all;
  for (const auto& slot : slots_of(*this)) {
    Part part{slot.path, slot.plugin, nullptr, slot.origin.weights, slot.origin.part, {}, slot.kind, slot.owner};
    if (slot.kind == PartKind::llm) {
      part.module = &llm_->module(), part.names = llm_->name_map();
    } else if (slot.kind == PartKind::peft) {
      part.module = &pefts_[slot.index].method->module();
    } else {
      auto& stream = *streams_.at(slot.stream);
      const bool encoder = slot.kind == PartKind::encoder;
      part.module = encoder ? &stream.encoders()[slot.index].encoder->module() : &stream.connector().module();
      part.names = encoder ? stream.encoders()[slot.index].encoder->name_map() : NameMap{{{"{}", "{}"}}, {}, {}};
    }
    if (const auto names = whole_names_.find(part.path); names != whole_names_.end()) part.names.whole = names->second;
    all.push_back(std::move(part));
  }
  return all;
}

void MultimodalLm::load(const LoadSettings& settings) {
  settings_ = settings;
  load_parts(*this, settings);
}

const Stream& MultimodalLm::stream_for(Modality modality, const std::string& wanted) const {
  const std::string name = wanted.empty() ? std::string(to_string(modality)) : wanted;
  const Stream* only = nullptr;
  int found = 0;
  for (const auto& [key, stream] : streams_) {
    if (!takes(*stream, modality)) continue;
    if (key == name) return *stream;
    only = stream.get(), ++found;
  }
  if (found == 1 && wanted.empty()) return *only;
  std::vector<std::string> known;
  for (const auto& [key, stream] : streams_)
    known.push_back(fmt::format("{} ({})", key, to_string(stream->modality())));
  fail(ErrorKind::data,
       fmt::format("the model has no stream '{}' for this {}; it has: {}", name, to_string(modality),
                   known.empty() ? "none" : join(known, ", ")),
       "add [model.streams." + name + "], or leave such media out of the data");
}

// What is kept of a medium does not depend on which process encodes it, unless an encoder learns or drops values.
void MultimodalLm::encode(Batch& batch) {
  if (!is_first_stage()) return;
  for (const auto& [name, stream] : streams_) {
    auto* slices = stream->encoders_frozen() ? by_.slices : nullptr;
    if (slices || is_first()) encode_media(batch, *stream, {settings_.formats.compute, settings_.device}, slices);
  }
}

at::Tensor MultimodalLm::media_embeddings(const Batch& batch, const std::string& name, int64_t count) const {
  std::vector<const StreamItem*> items;
  for (const auto& media : batch.media)
    if (media.stream == name) items.push_back(&media.item);
  const TraceScope scope("connectors/", name);
  const auto rows = with_context("embedding media of " + samples_of(batch, name), [&] {
                      return streams_.at(name)->connect(items);
                    }).to(settings_.formats.compute);
  if (rows.size(0) != count)
    fail(ErrorKind::internal, fmt::format("stream {}: {} placeholder positions and {} embeddings, in {}", name, count,
                                          rows.size(0), samples_of(batch, name)));
  return rows;
}

bool MultimodalLm::encoders_frozen() const {
  return std::ranges::all_of(streams_, [](const auto& stream) { return stream.second->encoders_frozen(); });
}

void MultimodalLm::share(const SharedBy& by) {
  if (chooses_tokens_ && (by.contexts || by.group))
    fail(ErrorKind::config,
         "a method of fine-tuning changes some tokens only, which processes with parallel.tensor and parallel.context "
         "have apart",
         "leave `only` out of [[model.llm.peft]], or use parallel.tensor = 1 and parallel.context = 1");
  by_ = by;
  by_.learns_before = prompt_tokens() + prefix_tokens() > 0;
  for (const auto& part : parts())
    by_.learns_before |= part.owner != PartKind::llm && part.module->trainable_count() > 0;
  llm_->share(by_);
}

bool MultimodalLm::is_first_stage() const {
  return !by_.stages || (by_.stages->rank() == 0 && PipelinePass::chunk() == 0);
}

bool MultimodalLm::is_first() const { return is_first_stage() && !(by_.slices && by_.slices->rank() > 0); }

bool MultimodalLm::is_last_stage() const {
  return !by_.stages || (by_.stages->rank() + 1 == by_.stages->size() && PipelinePass::chunk() + 1 == by_.chunks);
}

at::Tensor MultimodalLm::embed(const Batch& batch, AddedStates* added) {
  std::map<std::string, at::Tensor> tapped;
  const auto x = embedded(batch, tapped);
  if (added) *added = added_to_own(batch, tapped);
  return x;
}

at::Tensor MultimodalLm::embedded(const Batch& batch, std::map<std::string, at::Tensor>& tapped) {
  const auto options = at::TensorOptions(settings_.device).dtype(settings_.formats.compute);
  if (!is_first_stage()) return at::empty({0, llm_->hidden_size()}, options);
  if (by_.contexts && by_.contexts->rank() > 0) return at::zeros({batch.tokens(), llm_->hidden_size()}, options);
  auto x = llm_->embed(batch.ids_t.to(settings_.device)).to(settings_.formats.compute);
  const bool first = is_first();
  // Of several processes, whose embeddings are added up, one puts rows in their places.
  const auto put = [&](const at::Tensor& index, const std::function<at::Tensor()>& rows) {
    x = first ? x.index_copy(0, index, rows()) : x.index_fill(0, index, 0);
  };
  if (const auto places = embedding_places(batch, {}); !places.empty())
    put(at::cat(places).to(settings_.device), [&] {
      return prompt().repeat({static_cast<int64_t>(places.size()), 1});
    });
  for (const auto& [name, stream] : streams_) {
    const auto places = embedding_places(batch, name);
    if (places.empty()) continue;
    const auto index = at::cat(places).to(settings_.device);
    put(index, [&] {
      const auto width = llm_->hidden_size(), others = stream->taps() * width;
      const auto rows = media_embeddings(batch, name, index.size(0));
      if (others > 0) tapped[name] = rows.narrow(1, width, others);
      return others > 0 ? rows.narrow(1, 0, width) : rows;
    });
  }
  return x;
}

DecoderState MultimodalLm::make_cache(int64_t blocks) const {
  const int64_t prefix_blocks = DecoderState::blocks_for(prefix_tokens());
  DecoderState cache(llm_->state_shape(), blocks + prefix_blocks,
                     at::TensorOptions().dtype(settings_.formats.compute).device(settings_.device));
  c10::AutoGradMode no_grad(false);
  if (prefix_blocks > 0) cache.begin_rows_with(prefix());
  return cache;
}

DecoderInput MultimodalLm::input_of(const Batch& batch, DecoderState* cache, const std::vector<int64_t>& rows) {
  DecoderInput input;
  input.x_td = embed(batch, &input.added);
  input.positions_at = batch.positions_at.to(settings_.device);
  input.lengths = batch.lengths, input.padding = batch.padding, input.media = parts_of(batch);
  input.cache = cache, input.rows = rows;
  if (llm_->reads_ids()) input.ids_t = batch.ids_t.to(settings_.device);
  if (const int64_t before = prefix_tokens()) input.positions_at = input.positions_at + before;
  if (cache || prefix_tokens() == 0) return input;
  input.prefix = std::make_shared<nn::Prefix>(nn::own_heads(prefix(), {by_.group, by_.contexts, by_.slices}));
  return input;
}

at::Tensor MultimodalLm::forward(const Batch& batch, DecoderState* cache, const std::vector<int64_t>& rows) {
  const auto input = input_of(batch, cache, rows);
  const TokenKindScope kinds(kinds_of(batch));
  const TraceScope scope("decoder");
  return llm_->forward(input);
}

std::shared_ptr<const TokenKinds> MultimodalLm::kinds_of(const Batch& batch) const {
  if (!chooses_tokens_) return nullptr;
  std::vector<at::Tensor> all{at::empty({0}, at::kLong)};
  for (const auto& [name, stream] : streams_)
    for (const auto& places : embedding_places(batch, name)) all.push_back(places);
  return std::make_shared<TokenKinds>(batch.tokens(), at::cat(all).to(settings_.device));
}

std::shared_ptr<const TokenKinds> MultimodalLm::kinds_of_text(int64_t tokens) const {
  if (!chooses_tokens_) return nullptr;
  return std::make_shared<TokenKinds>(tokens, at::empty({0}, at::TensorOptions(settings_.device).dtype(at::kLong)));
}

nn::Part MultimodalLm::own_rows(int64_t rows) const {
  return by_.group ? nn::part_of(rows, by_.group->rank(), by_.group->size()) : nn::Part{0, rows};
}

at::Tensor MultimodalLm::own_of_first(const at::Tensor& rows_nd) const {
  const nn::TokenSlices parts{by_.group, nullptr, by_.group};
  return by_.group ? nn::slice_of_sum(rows_nd, parts.in_parts(rows_nd.size(0)), *by_.group, by_.learns_before)
                   : rows_nd;
}

at::Tensor MultimodalLm::all_of_own(const at::Tensor& own_nd, int64_t rows) const {
  const nn::TokenSlices parts{by_.group, nullptr, by_.group};
  return by_.group ? nn::all_values(own_nd, parts.in_parts(rows), *by_.group) : own_nd;
}

at::Tensor MultimodalLm::of_all_rows(const at::Tensor& given, const Batch& batch, const at::Tensor& tokens_n,
                                     const std::function<at::Tensor(const at::Tensor&)>& body) const {
  const auto tokens = own_of(tokens_n, batch);
  const auto own = own_rows(tokens.count);
  const auto values =
      all_of_own(body(given.index_select(0, tokens.rows_n.narrow(0, own.begin, own.size))), tokens.count);
  return by_.contexts ? nn::all_values(values, tokens.in_contexts, *by_.contexts) : values;
}

at::Tensor MultimodalLm::next_logits(const Batch& batch, const at::Tensor& last_n) {
  c10::AutoGradMode no_grad(false);
  at::Tensor given;
  for (int chunk = 0; chunk < chunks(); ++chunk) {
    const PipelinePass pass(0, chunk);
    const auto x = forward(batch);
    if (is_last_stage()) given = x;
  }
  if (!given.defined()) return {};
  const auto own = own_of(last_n, batch);
  const auto hidden = given.index_select(0, own.rows_n);
  auto logits = own.count > 0 ? llm_->logits(hidden) : at::empty({0, llm_->head_weight().size(0)}, hidden.options());
  if (by_.group) {
    std::vector<int64_t> sizes;
    for (int i = 0; i < by_.group->size(); ++i)
      sizes.push_back(nn::part_of(llm_->vocab_size(), i, by_.group->size()).size);
    logits = nn::all_values(logits.t(), sizes, *by_.group).t();
  }
  return by_.contexts ? nn::all_values(logits.contiguous(), own.in_contexts, *by_.contexts) : logits;
}

MultimodalLm::OwnTokens MultimodalLm::own_of(const at::Tensor& tokens_n, const Batch& batch) const {
  const nn::TokenSlices slices{by_.group, by_.contexts, by_.slices};
  OwnTokens own;
  own.in_contexts = nn::counts_in(tokens_n, slices.in_contexts(batch.tokens()));
  const auto first = own.in_contexts.begin();
  own.begin = std::accumulate(first, first + slices.context(), int64_t{0});
  own.count = own.in_contexts[static_cast<size_t>(slices.context())];
  own.rows_n = (tokens_n.narrow(0, own.begin, own.count) - slices.of_context(batch.tokens()).begin).to(device());
  return own;
}

at::Tensor MultimodalLm::score(const Batch& batch, const nn::TokenScoreOptions& options) {
  const auto given = forward(batch);
  if (!is_last_stage()) return given;
  const auto own = own_of(batch.supervised_n, batch);
  const auto hidden = given.index_select(0, own.rows_n);
  const TraceScope scope("loss");
  auto shared = options;
  const auto part = llm_->head_part();
  shared.group = part.group, shared.first_token = part.begin, shared.logits = llm_->logit_rule();
  const auto labels = batch.labels_n.narrow(0, own.begin, own.count).to(device());
  const nn::DropoutRows rows(own.begin);
  const auto logp_n = nn::token_scores(hidden, llm_->head_weight(), labels, shared, llm_->added_products(hidden));
  return by_.contexts ? nn::all_values(logp_n, own.in_contexts, *by_.contexts) : logp_n;
}

}  // namespace antiphon::model
