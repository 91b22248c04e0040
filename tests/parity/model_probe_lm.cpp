// Whole models: language models with and without adapters, and compositions with streams.
#include "model_probe.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <map>
#include <optional>

#include <antiphon/checkpoint/checkpoint.h>
#include <antiphon/checkpoint/restore.h>
#include <antiphon/component/auxiliary_losses.h>
#include <antiphon/component/training_pass.h>
#include <antiphon/data/prepare.h>
#include <antiphon/data/record_reader.h>
#include <antiphon/engine/generation_config.h>
#include <antiphon/engine/generator.h>
#include <antiphon/engine/sampling_filters.h>
#include <antiphon/model/combine_adapters.h>
#include <antiphon/model/export.h>
#include <antiphon/model/export_adapter.h>
#include <antiphon/model/part_slot.h>
#include <antiphon/model/slot.h>
#include <antiphon/model/whole_model.h>
#include <antiphon/nn/linear/linear.h>
#include <antiphon/nn/linear/quantized_weight.h>
#include <antiphon/nn/token_scores.h>
#include <antiphon/parallel/separate_gradients.h>
#include <antiphon/run/training_slots.h>
#include <antiphon/train/optimizer.h>
#include <antiphon/train/schedule.h>
#include <antiphon/weights/adapter.h>
#include <antiphon/weights/export.h>

namespace antiphon::probe {
namespace {

config::Value model_table_of(const json& request) {
  if (request.contains("run"))
    return *config::load_toml(std::filesystem::path(request.at("run").get<std::string>()) / "config.toml")
                .find("model");
  auto table = toml(request, "model");
  model::expand_from(table);
  return table;
}

void load_run(model::MultimodalLm& model, const std::filesystem::path& run) {
  const auto newest = checkpoint::latest_checkpoint(run / "checkpoints");
  checkpoint::restore_parameters(model.saved_parameters(),
                                 checkpoint::load_checkpoint(newest.value(), false).parameters);
}

// The [model] table in "model", or that of the folder "run" with what it trained; of adapters with names those in
// "adapters"; with "merge", they are folded in.
std::unique_ptr<model::MultimodalLm> load_model(const json& request) {
  config::Problems problems;
  auto table = model_table_of(request);
  auto spec = model::model_table().parse(table, "model", problems);
  problems.throw_if_any();
  auto model = model::MultimodalLm::build(spec);
  const auto dtype = dtype_of(request);
  model->load({device(), {dtype, dtype, ""}, 1});
  model::start_methods(*model, 1);
  if (request.contains("values")) {  // of trained parameters: "<part>/<name>"
    const weights::SafetensorsFile file(request.at("values").get<std::string>());
    checkpoint::StoredTensors values;
    for (const auto& info : file.tensors()) values[info.name] = file.tensor(info.name);
    checkpoint::restore_parameters(model->saved_parameters(), values);
  }
  if (request.contains("quantize")) model->llm().quantize(request.at("quantize").get<std::string>());
  if (request.contains("run")) load_run(*model, request.at("run").get<std::string>());
  if (request.contains("adapter_weights")) {
    std::vector<model::WeightedAdapter> adapters;
    for (const auto& [name, weight] : request.at("adapter_weights").items())
      adapters.push_back({name, weight.get<double>()});
    model::combine_adapters(*model, adapters, model::combination_of(request.at("combine").get<std::string>()));
  }
  if (request.contains("adapters")) model->use_adapters(request.at("adapters").get<std::vector<std::string>>());
  if (request.value("merge", false))
    for (size_t i = 0; i < model->pefts().size(); ++i)
      if (model->in_use(i)) model->pefts()[i].method->merge();
  return model;
}

// Of each of the "ids" what "positions" say, one list for each axis, or what the language model does.
void give_positions(data::Prepared& sample, const json& request, size_t index, const model::MultimodalLm& model) {
  data::give_positions(sample, model.llm());
  if (!request.contains("positions")) return;
  std::vector<at::Tensor> axes;
  for (const auto& axis : request.at("positions").at(index))
    axes.push_back(at::tensor(axis.get<std::vector<int64_t>>(), at::kLong));
  sample.positions_at = at::stack(axes);
}

// Rows of ids; everything after the first of each is supervised.
std::vector<data::Prepared> from_ids(const json& request, const model::MultimodalLm& model) {
  std::vector<data::Prepared> prepared;
  for (const auto& row : request.at("ids")) {
    data::Prepared sample;
    sample.id = std::to_string(prepared.size());
    sample.ids = row.get<std::vector<int64_t>>();
    sample.supervised.assign(sample.ids.size(), true);
    data::begin_with_prompt(sample, model.prompt_tokens());
    give_positions(sample, request, prepared.size(), model);
    prepared.push_back(std::move(sample));
  }
  return prepared;
}

// "ids": rows of ids; or "samples": lines of a manifest whose paths are relative to "folder", as text if the order of
// their keys matters, "interleave" as in data.video.
std::vector<data::Prepared> prepare(const json& request, model::MultimodalLm& model, data::Purpose purpose) {
  if (request.contains("ids")) return from_ids(request, model);
  auto tokenizer = text::Tokenizer::load(model.spec().llm.weights);
  auto chat_template = text::ChatTemplate::load(model.spec().llm.weights, tokenizer.special_tokens());
  if (const auto& variables = model.spec().llm.template_variables; !variables.empty())
    chat_template = chat_template.with(nlohmann::ordered_json::parse(config::to_json(variables)));
  const text::PromptBuilder prompts(std::move(tokenizer), std::move(chat_template), model.spec().has_placeholders());
  const data::FeatureCache cache("", {});
  data::VideoSampling video;
  video.interleave = request.value("interleave", false);
  const data::Preparer preparer(model, prompts, cache, {}, model.context(), video);
  const data::RecordReader reader({}, 1);
  std::vector<data::Prepared> prepared;
  for (const auto& sample : request.at("samples")) {
    const auto line = sample.is_string() ? sample.get<std::string>() : sample.dump();
    prepared.push_back(preparer.prepare(reader.read({line}, request.at("folder").get<std::string>()), purpose));
  }
  return prepared;
}

// Of the "media" of a row of "ids", [begin, tokens] each, those in [begin, begin + count), which lie at `place` of a
// batch: as if these ids were embeddings of media.
void add_media(const json& request, size_t row, int64_t begin, int64_t count, int64_t place, DecoderInput& input) {
  if (!request.contains("media")) return;
  for (const auto& span : request.at("media").at(row)) {
    const auto first = span.at(0).get<int64_t>();
    if (first >= begin && first < begin + count) input.media.push_back({place + first - begin, span.at(1)});
  }
}

// What "media" says of the tokens of all rows, to methods that ask; else what the batch does.
std::shared_ptr<const TokenKinds> kinds_of(const json& request, const model::MultimodalLm& model,
                                           const model::Batch& batch) {
  if (!request.contains("media")) return model.kinds_of(batch);
  DecoderInput input;
  int64_t place = 0;
  for (size_t row = 0; row < batch.lengths.size(); place += batch.lengths[row++])
    add_media(request, row, 0, batch.lengths[row], place, input);
  std::vector<int64_t> tokens;
  for (const auto& span : input.media)
    for (int64_t i = 0; i < span.tokens; ++i) tokens.push_back(span.begin + i);
  return std::make_shared<TokenKinds>(batch.tokens(), at::tensor(tokens, at::kLong).to(device()));
}

at::Tensor logits_of(model::MultimodalLm& model, const at::Tensor& hidden) { return model.llm().logits(hidden); }

at::Tensor token_loss_of(model::MultimodalLm& model, const model::Batch& batch, const at::Tensor& hidden) {
  const auto rows = hidden.index_select(0, batch.supervised_n.to(device()));
  return nn::token_scores(rows, model.llm().head_weight(), batch.labels_n.to(device()),
                          {.even_gradient = true, .logits = model.llm().logit_rule()}, model.llm().added_products(rows))
      .neg();
}

json described(model::MultimodalLm& model, const model::Batch& batch) {
  json media = json::array(), sites = json::array();
  for (const auto& item : batch.media) media.push_back({item.stream, item.position, item.item.tokens});
  for (const auto& site : model.sites()) sites.push_back(site.path);
  return {{"lengths", batch.lengths}, {"media", media}, {"sites", sites}};
}

// What the request asks for besides the forward pass.
void side_effects(const json& request, model::MultimodalLm& model, NamedTensors& out) {
  if (request.contains("save_adapter")) {  // of the part "save_adapter_of"
    const auto owner = request.value("save_adapter_of", "llm");
    const auto peft = std::ranges::find(model.pefts(), owner, &model::AttachedPeft::owner);
    weights::save_adapter(request.at("save_adapter").get<std::string>(), *peft->method, model.spec().llm.weights, {},
                          peft->also_trained(), StackedPart{peft->names, *peft->part});
  }
  if (request.contains("save")) {
    const auto& folder = model.spec().llm.weights;
    weights::save_pretrained(request.at("save").get<std::string>(), model.llm().module(), model.llm().name_map(),
                             weights::read_pretrained_config(folder).config.json());
  }
  if (request.contains("quantize")) {
    for (const auto& site : model.sites())
      if (site.linear->is_quantized())
        out.emplace_back("weight:" + site.path + ".weight", site.linear->dequantized(at::kFloat).contiguous());
    out.emplace_back("weight:lm_head.weight", model.llm().head_weight());
  }
  if (request.contains("export_adapter")) model::export_adapter(model, request.at("export_adapter").get<std::string>());
  if (request.contains("export")) {
    model::export_model(model, request.at("export").get<std::string>());
  } else if (request.value("merge", false))
    for (auto& [name, tensor] : weights::checkpoint_tensors(model.llm().module(), model.llm().name_map()))
      out.emplace_back("weight:" + name, tensor);
}

// "steps" steps of training as the table "train" says, at a constant rate and without clipping, or with "as_a_run" at
// its rates and clipped: on the batch, or in turn on those of "curve", each as the request's "ids" or "samples" are.
// The loss of each step before it, [steps].
at::Tensor train_on(const json& request, model::MultimodalLm& model, model::Batch& batch) {
  config::Problems problems;
  auto options = train::train_table().parse(toml(request, "train"), "train", problems);
  problems.throw_if_any();
  const auto rule = run::build_update_rule(options.optimizer);
  const auto trained = model.trainable_parameters();
  train::Optimizer optimizer(trained, options, *rule);
  std::vector<model::Batch> batches;
  for (const auto& one : request.value("curve", json::array())) {
    auto of_batch = request;
    of_batch[request.contains("ids") ? "ids" : "samples"] = one;
    batches.push_back(data::pack(prepare(of_batch, model, data::Purpose::training)));
  }
  std::vector<at::Tensor> losses;
  const bool as_a_run = request.value("as_a_run", false);
  const auto steps = request.at("steps").get<size_t>();
  for (size_t step = 0; step < steps; ++step) {
    const TrainingPass pass(true, false, step);
    auto of_step = batches.empty() ? batch : batches[step % batches.size()];  // a copy: media are encoded into it
    model.encode(of_step);
    const auto input = model.input_of(of_step);
    const TokenKindScope kinds(kinds_of(request, model, of_step));
    losses.push_back(token_loss_of(model, of_step, model.llm().forward(input)).mean());
    torch::autograd::backward({losses.back()}, {});
    parallel::separate_gradients(trained);
    losses.back() = losses.back().detach();
    if (as_a_run) optimizer.clip(options.clip_norm);
    optimizer.step(as_a_run ? train::lr_ratio(options.schedule, static_cast<int64_t>(step), static_cast<int64_t>(steps))
                            : 1);
  }
  return at::stack(losses);
}

}  // namespace

json run_model(const json& request) {
  const auto model = load_model(request);
  auto batch = data::pack(prepare(request, *model, data::Purpose::training));
  const auto answer = described(*model, batch);
  const auto curve = request.contains("steps") ? train_on(request, *model, batch) : at::Tensor();
  model->encode(batch);
  auto input = model->input_of(batch);
  int64_t place = 0;
  for (size_t row = 0; row < batch.lengths.size(); place += batch.lengths[row++])
    add_media(request, row, 0, batch.lengths[row], place, input);
  const bool cut = request.value("grad_x", false);  // the embeddings become a leaf
  if (cut) input.x_td = input.x_td.detach().clone().set_requires_grad(true);
  const TokenKindScope kinds(kinds_of(request, *model, batch));
  std::optional<AuxiliaryLosses> losses;
  if (request.contains("share")) losses.emplace(request.at("share").get<double>());
  const auto hidden = model->llm().forward(input);
  const auto token_loss = token_loss_of(*model, batch, hidden), loss = token_loss.mean();
  NamedTensors out{{"ids", batch.ids_t},
                   {"positions", batch.positions_at},
                   {"supervised", batch.supervised_n},
                   {"labels", batch.labels_n},
                   {"hidden", hidden.clone()},
                   {"logits", logits_of(*model, hidden)},
                   {"loss", loss},
                   {"token_loss", token_loss}};
  if (curve.defined()) out.emplace_back("curve", curve);
  if (losses)
    for (const auto& [name, term] : losses->terms())
      out.emplace_back("auxiliary:" + name, at::full({}, term.value, at::kDouble));
  if (loss.requires_grad()) {
    torch::autograd::backward({loss}, {});
    if (cut) out.emplace_back("grad_x", input.x_td.grad());
    for (auto& part : model->parts()) add_gradients(out, "grad:" + part.path + ":", *part.module, part.names);
  }
  side_effects(request, *model, out);
  write_outputs(request, std::move(out));
  return answer;
}

// How many a model has, without their values.
json run_parameters(const json& request) {
  config::Problems problems;
  auto table = model_table_of(request);
  auto spec = model::model_table().parse(table, "model", problems);
  problems.throw_if_any();
  const auto model = model::build(spec);
  int64_t count = 0;
  for (const auto& part : model->parts()) count += part.module->parameter_count();
  return {{"parameters", count}};
}

// "ids": chosen and rejected, one after the other; the gradients are those of the mean of -log sigmoid of each
// difference.
json run_score(const json& request) {
  config::Problems problems;
  auto table = model_table_of(request);
  auto spec = model::model_table().parse(table, "model", problems);
  problems.throw_if_any();
  const auto model = model::build(spec);
  const auto dtype = dtype_of(request);
  model->load({device(), {dtype, dtype, ""}, 1});
  model::start_methods(*model, 1);
  auto batch = data::pack(from_ids(request, model->lm()), data::kPackMultiple);
  const auto scores = model->score(batch, {});
  NamedTensors out{{"scores", scores}};
  if (scores.requires_grad() && scores.size(0) % 2 == 0) {
    const auto pairs = scores.view({-1, 2});
    torch::autograd::backward({-at::log_sigmoid(pairs.select(1, 0) - pairs.select(1, 1)).mean()}, {});
    for (auto& part : model->parts()) add_gradients(out, "grad:" + part.path + ":", *part.module, part.names);
  }
  write_outputs(request, std::move(out));
  return {{"scores", model->scores()}};
}

// Pictures "pixels" [n, 3, height, width], processed, and the texts "ids"; the objective "objective" of them.
json run_pairs(const json& request) {
  config::Problems problems;
  auto spec = model::model_table().parse(model_table_of(request), "model", problems);
  problems.throw_if_any();
  const auto model = model::build(spec);
  model->load({device(), {dtype_of(request), dtype_of(request), ""}, 1});
  const auto pixels = weights::SafetensorsFile(request.at("inputs").get<std::string>()).tensor("pixels").unbind(0);
  std::vector<data::Prepared> samples;
  for (size_t i = 0; i < pixels.size(); ++i) {
    data::Prepared sample;
    sample.id = std::to_string(i), sample.ids = request.at("ids").at(i).get<std::vector<int64_t>>();
    sample.supervised.assign(sample.ids.size() + 1, true), sample.supervised[0] = false;
    sample.ids.insert(sample.ids.begin(), 0);
    model::BatchMedia media;
    media.stream = "image", media.content = sample.id, media.sample_id = sample.id;
    media.item.inputs = {{pixels[i].clone()}}, media.item.grids = {{1, 1}};
    media.item.tokens = 1, media.item.part_tokens = {1};
    sample.media.push_back(std::move(media));
    samples.push_back(std::move(sample));
  }
  auto batch = data::pack(std::move(samples), data::kPackMultiple);
  model->lm().encode(batch);
  const auto scores = model->score(batch, {});
  model::ComponentSpec objective;
  objective.plugin = request.at("objective");
  ObjectiveInput input;
  input.scores_sk = scores, input.own_sequences = scores.size(0), input.totals.sequences = scores.size(0);
  const auto output = run::build_objective(objective)->forward(input);
  NamedTensors out{{"scores", scores}, {"loss", output.loss}};
  torch::autograd::backward({output.loss}, {});
  for (auto& part : model->parts()) {
    auto names = part.names;
    add_gradients(out, "grad:" + part.path + ":", *part.module, names);
  }
  write_outputs(request, std::move(out));
  return {{"scores", model->scores()}};
}

namespace {

// The "ids" over one cache, some tokens of each at a time.
class Rows {
 public:
  Rows(const json& request, model::MultimodalLm& model)
      : request_(request),
        model_(model),
        ids_(request.at("ids").get<std::vector<std::vector<int64_t>>>()),
        samples_(from_ids(request, model)),
        cache_(model.make_cache(2 * std::ssize(ids_) * engine::blocks_of_text(model, longest()))),
        hidden_(ids_.size()) {
    for (size_t i = 0; i < ids_.size(); ++i) rows_.push_back(cache_.add_row());
  }

  // So many more tokens of each.
  void read(const std::vector<int64_t>& counts) {
    for (auto& [i, piece] : pass(counts, false)) hidden_[i].push_back(piece);
  }
  // So many tokens that are not the text's, and back: in the row itself ("row"), in a copy that goes away ("copy"), or
  // in the row, which goes away for its copy ("original").
  void try_others(const std::vector<int64_t>& counts, const std::string& where) {
    const auto before = rows_;
    std::vector<int64_t> copies, lengths;
    for (const auto row : before) {
      if (where != "row") copies.push_back(cache_.fork(row));
      lengths.push_back(cache_.length(row));
    }
    if (where == "copy") rows_ = copies;
    pass(counts, true);
    for (size_t i = 0; i < before.size(); ++i)
      where == "row" ? cache_.truncate(rows_[i], lengths[i]) : cache_.drop_row(rows_[i]);
    rows_ = where == "original" ? copies : before;
  }
  at::Tensor hidden() const {
    std::vector<at::Tensor> all;
    for (const auto& pieces : hidden_) all.push_back(at::cat(pieces));
    return at::cat(all);
  }

 private:
  int64_t longest() const {
    size_t most = 0;
    for (const auto& row : ids_) most = std::max(most, row.size());
    return static_cast<int64_t>(most);
  }

  // Hidden states of each sequence that takes part. `others`: of other tokens in the place of the text's.
  std::vector<std::pair<size_t, at::Tensor>> pass(const std::vector<int64_t>& counts, bool others) {
    DecoderInput input;
    std::vector<int64_t> ids;
    std::vector<at::Tensor> positions;
    std::vector<size_t> of;
    for (size_t i = 0; i < ids_.size(); ++i) {
      const int64_t n = counts.at(i), begin = cache_.length(rows_[i]) - cache_.prefix();
      if (n == 0) continue;
      for (int64_t k = begin; k < begin + n; ++k)
        ids.push_back((ids_[i].at(static_cast<size_t>(k)) + (others ? 17 : 0)) % model_.llm().vocab_size());
      positions.push_back(samples_[i].positions_at.narrow(1, begin, n) + cache_.prefix());
      add_media(request_, i, begin, n, std::ssize(ids) - n, input);
      input.lengths.push_back(n), input.rows.push_back(rows_[i]), of.push_back(i);
    }
    input.x_td = model_.llm().embed(at::tensor(ids, at::kLong).to(device())).to(model_.compute_dtype());
    input.positions_at = at::cat(positions, 1).to(device()), input.cache = &cache_;
    const auto pieces = model_.llm().forward(input).split_with_sizes(input.lengths);
    std::vector<std::pair<size_t, at::Tensor>> states;
    for (size_t k = 0; k < pieces.size(); ++k) states.emplace_back(of[k], pieces[k]);
    return states;
  }

  const json& request_;
  model::MultimodalLm& model_;
  std::vector<std::vector<int64_t>> ids_;
  std::vector<data::Prepared> samples_;
  DecoderState cache_;
  std::vector<int64_t> rows_;
  std::vector<std::vector<at::Tensor>> hidden_;
};

}  // namespace

// "steps": for each call the number of tokens of every sequence (0: not in this call), or {"others": these numbers,
// "where": …}, see try_others(). Hidden states in the order of "ids", as one packed batch would give.
json run_cached(const json& request) {
  c10::InferenceMode inference;
  const auto model = load_model(request);
  Rows rows(request, *model);
  for (const auto& step : request.at("steps"))
    step.is_object() ? rows.try_others(step.at("others"), step.at("where")) : rows.read(step);
  write_outputs(request, {{"hidden", rows.hidden()}});
  return json::object();
}

namespace {

at::Tensor joined(const at::Tensor& before, const at::Tensor& more, int64_t axis) {
  return before.defined() ? at::cat({before, more}, axis) : more;
}

// `count` tokens of a batch from `begin` on, as the next ones of a row.
void add_piece(const DecoderInput& whole, int64_t begin, int64_t count, int64_t row, DecoderInput& piece) {
  const int64_t place = piece.x_td.defined() ? piece.x_td.size(0) : 0;
  piece.x_td = joined(piece.x_td, whole.x_td.narrow(0, begin, count), 0);
  piece.positions_at = joined(piece.positions_at, whole.positions_at.narrow(1, begin, count), 1);
  if (whole.ids_t.defined()) piece.ids_t = joined(piece.ids_t, whole.ids_t.narrow(0, begin, count), 0);
  piece.lengths.push_back(count), piece.rows.push_back(row);
  for (const auto& span : whole.media)
    if (span.begin >= begin && span.begin + span.tokens <= begin + count)
      piece.media.push_back({span.begin - begin + place, span.tokens});
  const auto& added = whole.added;
  if (added.after.empty()) return;
  const auto in_it = added.tokens_n.ge(begin).logical_and(added.tokens_n.lt(begin + count)).nonzero().squeeze(1);
  piece.added.tokens_n = joined(piece.added.tokens_n, added.tokens_n.index_select(0, in_it) - begin + place, 0);
  piece.added.after.resize(added.after.size());
  for (size_t i = 0; i < added.after.size(); ++i)
    piece.added.after[i] = joined(piece.added.after[i], added.after[i].index_select(0, in_it), 0);
}

// Where a piece up to `end` ends if it cuts no medium's part.
int64_t behind_part(const DecoderInput& whole, int64_t end) {
  for (const auto& span : whole.media)
    if (span.begin < end && end < span.begin + span.tokens) return span.begin + span.tokens;
  return end;
}

}  // namespace

// The "samples" together, "piece" tokens of each at a time, with "whole_parts" as many more as a medium's part has; in
// the order of one packed batch.
json run_in_pieces(const json& request) {
  c10::InferenceMode inference;
  const auto model = load_model(request);
  auto batch = data::pack(prepare(request, *model, data::Purpose::training));
  model->encode(batch);
  const auto whole = model->input_of(batch);
  const auto step = request.at("piece").get<int64_t>();
  const bool whole_parts = request.value("whole_parts", false);
  auto cache =
      model->make_cache(std::ssize(batch.lengths) * engine::blocks_of_text(*model, std::ranges::max(batch.lengths)));
  std::vector<int64_t> rows, next, ends;
  for (const auto length : batch.lengths) {
    rows.push_back(cache.add_row());
    next.push_back(ends.empty() ? 0 : ends.back());
    ends.push_back(next.back() + length);
  }
  std::vector<std::vector<at::Tensor>> hidden(rows.size());
  while (next != ends) {
    DecoderInput piece;
    std::vector<size_t> of;
    for (size_t i = 0; i < rows.size(); ++i) {
      if (next[i] == ends[i]) continue;
      auto end = std::min(next[i] + step, ends[i]);
      if (whole_parts) end = behind_part(whole, end);
      add_piece(whole, next[i], end - next[i], rows[i], piece);
      next[i] = end, of.push_back(i);
    }
    piece.cache = &cache;
    const auto states = model->llm().forward(piece).split_with_sizes(piece.lengths);
    for (size_t i = 0; i < states.size(); ++i) hidden[of[i]].push_back(states[i]);
  }
  std::vector<at::Tensor> all;
  for (const auto& states : hidden) all.push_back(at::cat(states));
  write_outputs(request, {{"hidden", at::cat(all)}});
  return json::object();
}

namespace {

template <class T>
void set(const json& request, const char* key, std::optional<T>& option) {
  if (request.contains(key)) option = request.at(key).get<T>();
}

engine::GenerateOptions generate_options(const json& request) {
  engine::GenerateOptions o;
  set(request, "max_tokens", o.max_tokens), set(request, "max_length", o.max_length);
  set(request, "temperature", o.temperature), set(request, "top_p", o.top_p), set(request, "min_p", o.min_p);
  set(request, "top_k", o.top_k);
  set(request, "repetition_penalty", o.repetition_penalty);
  set(request, "no_repeat_ngram_size", o.no_repeat_ngram_size), set(request, "min_length", o.min_length);
  set(request, "encoder_no_repeat_ngram_size", o.encoder_no_repeat_ngram_size);
  set(request, "presence_penalty", o.presence_penalty), set(request, "frequency_penalty", o.frequency_penalty);
  set(request, "min_new_tokens", o.min_new_tokens), set(request, "logprobs", o.logprobs);
  set(request, "num_beams", o.num_beams), set(request, "length_penalty", o.length_penalty);
  o.early_stopping = request.value("early_stopping", o.early_stopping);
  o.stop = request.value("stop_strings", o.stop);
  o.suppress_tokens = request.value("suppress_tokens", o.suppress_tokens);
  o.begin_suppress_tokens = request.value("begin_suppress_tokens", o.begin_suppress_tokens);
  o.bad_words_ids = request.value("bad_words_ids", o.bad_words_ids);
  set(request, "top_h", o.top_h), set(request, "typical_p", o.typical_p);
  set(request, "epsilon_cutoff", o.epsilon_cutoff), set(request, "eta_cutoff", o.eta_cutoff);
  set(request, "encoder_repetition_penalty", o.encoder_repetition_penalty);
  set(request, "forced_bos_token_id", o.forced_bos_token_id);
  o.forced_eos_token_id = request.value("forced_eos_token_id", o.forced_eos_token_id);
  o.exponential_decay_length_penalty = request.value("exponential_decay_length_penalty", std::vector<double>{});
  set(request, "remove_invalid_values", o.remove_invalid_values);
  set(request, "renormalize_logits", o.renormalize_logits);
  for (const auto& [ids, bias] : request.value("sequence_bias", std::vector<std::pair<std::vector<int64_t>, double>>{}))
    o.sequence_bias.push_back({ids, bias});
  if (request.contains("directory")) engine::take_generation_config(request["directory"].get<std::string>(), o);
  return o;
}

template <class T>
json shown(const std::optional<T>& option) {
  return option ? json(*option) : json();
}

}  // namespace

json run_generate(const json& request) {
  const auto model = load_model(request);
  const auto stop = request.value("stop", std::vector<int32_t>{});
  const auto options = generate_options(request);
  std::optional<text::Tokenizer> tokenizer;
  if (!options.stop.empty()) tokenizer = text::Tokenizer::load(model->spec().llm.weights);
  auto prompts = prepare(request, *model, data::Purpose::generation);
  json tokens = json::array(), logprobs = json::array();
  for (const auto& answer : engine::answers_to(*model, std::move(prompts), options, stop, {}, tokenizer)) {
    if (answer.failure) std::rethrow_exception(answer.failure);
    tokens.push_back(answer.ids);
    auto& scores = logprobs.emplace_back(json::array());
    for (const auto& score : answer.scores) scores.push_back({score.logprob, score.top});
  }
  return {{"tokens", tokens}, {"logprobs", logprobs}};
}

// What sampling may draw of each of the rows "logits", at the options' temperature: "shares" [rows, vocab_size].
json run_shares(const json& request) {
  const auto options = generate_options(request);
  const auto logits = weights::SafetensorsFile(request.at("inputs").get<std::string>()).tensor("logits");
  const auto out = at::zeros_like(logits, at::kDouble);
  for (int64_t row = 0; row < logits.size(0); ++row) {
    const auto shares = engine::shares_of(logits[row] / options.temperature.value(), options);
    out[row].index_put_({at::tensor(shares.ids, at::kLong)}, at::tensor(shares.p, at::kDouble));
  }
  write_outputs(request, {{"shares", out}});
  return json::object();
}

// Answers to the prompts one after the other over one text, each of which goes on from what it shares with the last;
// and how many tokens had to be computed for each.
json run_read_again(const json& request) {
  const auto model = load_model(request);
  engine::Engine engine(*model, model->context());
  const auto text = engine.open(model->context());
  json tokens = json::array(), computed = json::array(), lengths = json::array();
  for (auto& prompt : prepare(request, *model, data::Purpose::generation)) {
    lengths.push_back(prompt.tokens());
    computed.push_back(engine.read(text, std::move(prompt)));
    engine.answer(text, generate_options(request), {});
    auto answer = engine.take(text);
    for (; !answer; answer = engine.take(text)) engine.step();
    if (answer->failure) std::rethrow_exception(answer->failure);
    tokens.push_back(answer->ids);
  }
  return {{"tokens", tokens}, {"computed", computed}, {"lengths", lengths}};
}

json run_generation_config(const json& request) {
  engine::GenerateOptions o;
  const auto said = engine::take_generation_config(request.at("directory").get<std::string>(), o);
  const json options{{"max_new_tokens", shown(o.max_tokens)},
                     {"temperature", shown(o.temperature)},
                     {"top_k", shown(o.top_k)},
                     {"top_p", shown(o.top_p)},
                     {"min_p", shown(o.min_p)},
                     {"repetition_penalty", shown(o.repetition_penalty)},
                     {"no_repeat_ngram_size", shown(o.no_repeat_ngram_size)},
                     {"min_new_tokens", shown(o.min_new_tokens)},
                     {"num_beams", shown(o.num_beams)},
                     {"length_penalty", shown(o.length_penalty)},
                     {"early_stopping", o.early_stopping},
                     {"stop_strings", o.stop},
                     {"suppress_tokens", o.suppress_tokens}};
  return {{"options", options}, {"taken", said.taken}, {"absent", said.absent}, {"unknown", said.unknown}};
}

}  // namespace antiphon::probe
