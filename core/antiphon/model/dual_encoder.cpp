#include <antiphon/model/dual_encoder.h>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/shown.h>
#include <antiphon/base/trace.h>
#include <antiphon/comm/group.h>
#include <antiphon/model/head_part.h>
#include <antiphon/model/part_slot.h>

#include <numeric>

namespace antiphon::model {
namespace {

using Texts = std::vector<std::vector<int64_t>>;

Texts texts_of(const Batch& batch) {
  Texts texts;
  const auto* label = batch.labels_n.const_data_ptr<int64_t>();
  for (const auto& sequence : batch.sequences) {
    texts.emplace_back(label, label + sequence.supervised);
    label += sequence.supervised;
  }
  return texts;
}

// Of each sequence that is in no medium's way: the item of the batch that belongs to it.
std::vector<const BatchMedia*> one_medium_each(const Batch& batch) {
  std::vector<const BatchMedia*> media;
  int64_t begin = 0;
  auto next = batch.media.begin();
  for (size_t i = 0; i < batch.sequences.size(); ++i) {
    const int64_t end = begin + batch.lengths[i];
    const auto first = next;
    while (next != batch.media.end() && next->position < end) ++next;
    if (const auto count = next - first; count != 1)
      fail(ErrorKind::data,
           fmt::format("sample {} has {} media; a dual encoder compares one with a text", shown(batch.sequences[i].id),
                       count),
           "give every record one medium");
    if (first->item.embeddings() != 1)
      fail(ErrorKind::data,
           fmt::format("the stream {} gives {} vectors of the medium of sample {}; a dual encoder compares one",
                       first->stream, first->item.embeddings(), shown(batch.sequences[i].id)),
           "set pooled = true in its encoder, or take a connector that makes one");
    media.push_back(&*first);
    begin = end;
  }
  return media;
}

at::Tensor of_length_one(const at::Tensor& x_nd) { return x_nd / x_nd.norm(2, {-1}, /*keepdim=*/true); }

void check_methods(const MultimodalLm& lm) {
  if (lm.prompt_tokens() + lm.prefix_tokens() > 0)
    fail(ErrorKind::config, "model.graph = \"dual_encoder\" has no place for virtual tokens before a text",
         "take another method of fine-tuning");
}

}  // namespace

std::unique_ptr<DualEncoder> DualEncoder::build(ModelSpec& spec) {
  auto model = std::make_unique<DualEncoder>();
  if (spec.head.plugin.empty())
    fail(ErrorKind::config, "model.graph = \"dual_encoder\" needs a head", "add [model.head] with plugin = \"pair\"");
  model->lm_ = MultimodalLm::build(spec, [&](const LanguageModel& tower, config::Problems& problems) -> int64_t {
    auto& head = spec.head;
    model->head_ = build_head(head, tower.hidden_size(), problems);
    if (model->head_ && model->head_->outputs() < 3)
      problems.add(
          {},
          fmt::format("the head {} gives {} numbers, too few to compare vectors", head.plugin, model->head_->outputs()),
          "take plugin = \"pair\"");
    return model->head_ ? model->head_->outputs() - 2 : tower.hidden_size();
  });
  check_methods(*model->lm_);
  if (model->lm_->chooses_tokens())
    fail(ErrorKind::config, "the text tower of a dual encoder reads text alone, of which `only` chooses all or nothing",
         "leave `only` out of [[model.llm.peft]]");
  if (model->lm_->streams().empty())
    fail(ErrorKind::config, "model.graph = \"dual_encoder\" has no stream to compare texts with",
         "add [model.streams.image]");
  for (const auto& [name, stream] : model->lm_->streams())
    if (const auto vectors = stream->example_tokens(); vectors != 1)
      fail(ErrorKind::config,
           fmt::format("[model.streams.{}] gives {} vectors of a medium; a dual encoder compares one", name, vectors),
           "set pooled = true in its encoder, or take a connector that makes one");
  model->head_spec_ = spec.head;
  return model;
}

void DualEncoder::load(const LoadSettings& settings) {
  lm_->load(settings);
  load_parts(*this, settings, lm_->parts().size());
}

void DualEncoder::share(const SharedBy& by) {
  const int slices = by.slices ? by.slices->size() : 1;
  const auto refuse = [](const std::string& key, const std::string& why, const std::string& fix) {
    fail(ErrorKind::config, fmt::format("model.graph = \"dual_encoder\" is not divided by parallel.{}: {}", key, why),
         fix);
  };
  if (by.contexts)
    refuse("context", "that divides long texts, and the whole of a dual encoder's is as short as a caption",
           "set parallel.context = 1; parallel.tensor divides the text tower, parallel.fsdp all that is trained");
  if (by.stages)
    refuse("pipeline",
           "the vectors of media are made in the first stage and compared with those of texts in the last, and a "
           "pipeline hands on the text tower's states alone",
           "set parallel.pipeline = 1; parallel.fsdp divides what is trained among as many processes");
  if (by.experts && by.experts->size() > slices)
    refuse("expert", "its text tower has no experts",
           "set parallel.expert = 1; parallel.fsdp or more copies use as many processes");
  lm_->share(by);
}

std::vector<Part> DualEncoder::parts() {
  auto all = lm_->parts();
  all.push_back(head_part(head_spec_, *head_));
  return all;
}

int64_t DualEncoder::longest_sequence() { return lm_->context() + 1; }

// Filled up as the tower wants them; without texts, one of one token, so that processes that share the tower's weights
// pass through it together.
at::Tensor DualEncoder::heads_of_own(const Texts& given) {
  auto texts = given;
  if (texts.empty()) texts = {{0}};
  std::vector<int64_t> ids, positions, ends;
  DecoderInput input;
  const auto padding = lm_->llm().padding();
  for (auto& text : texts) {
    if (padding && static_cast<int64_t>(text.size()) < padding->tokens)
      text.resize(static_cast<size_t>(padding->tokens), padding->id);
    ids.insert(ids.end(), text.begin(), text.end());
    for (int64_t i = 0; i < static_cast<int64_t>(text.size()); ++i) positions.push_back(i);
    input.lengths.push_back(static_cast<int64_t>(text.size()));
    ends.push_back(static_cast<int64_t>(ids.size()) - 1);
  }
  const auto place = [&](const std::vector<int64_t>& numbers) {
    return at::tensor(numbers, at::kLong).to(lm_->device());
  };
  input.x_td = lm_->llm().embed(place(ids)).to(lm_->compute_dtype());
  input.positions_at = place(positions).expand({lm_->llm().position_axes(), -1});
  if (lm_->llm().reads_ids()) input.ids_t = place(ids);
  const auto [begin, count] = lm_->own_rows(static_cast<int64_t>(given.size()));
  const auto hidden = lm_->llm().forward(input).index_select(0, place(ends).narrow(0, begin, count));
  const TraceScope scope("head");
  return head_->forward(hidden.to(at::kFloat));
}

at::Tensor DualEncoder::text_vectors(const Texts& texts) {
  const auto y = of_length_one(heads_of_own(texts).narrow(1, 0, width()));
  return lm_->all_of_own(at::cat({y, at::ones({y.size(0), 1}, y.options())}, 1), static_cast<int64_t>(texts.size()));
}

// Of the first process that computes a batch; zeros in the others.
at::Tensor DualEncoder::media_vectors(const Batch& batch) {
  const auto media = one_medium_each(batch);
  auto x = at::zeros({static_cast<int64_t>(media.size()), width()}, at::TensorOptions(lm_->device()));
  for (const auto& [name, stream] : lm_->streams()) {
    std::vector<int64_t> rows;
    for (size_t i = 0; i < media.size(); ++i)
      if (media[i]->stream == name) rows.push_back(static_cast<int64_t>(i));
    if (rows.empty() || !lm_->is_first()) continue;
    const auto vectors = lm_->media_embeddings(batch, name, static_cast<int64_t>(rows.size())).to(at::kFloat);
    x = x.index_copy(0, at::tensor(rows, at::kLong).to(lm_->device()), vectors);
  }
  return x;
}

at::Tensor DualEncoder::score(const Batch& batch, const nn::TokenScoreOptions&) {
  const auto x = of_length_one(lm_->own_of_first(media_vectors(batch))), of_texts = heads_of_own(texts_of(batch));
  const auto y = of_length_one(of_texts.narrow(1, 0, width()));
  const auto scale = of_texts.narrow(1, width(), 1).exp(), bias = of_texts.narrow(1, width() + 1, 1);
  return lm_->all_of_own(at::cat({scale * x, bias, y, at::ones_like(bias)}, 1), std::ssize(batch.sequences));
}

}  // namespace antiphon::model
