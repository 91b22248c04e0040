#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <numeric>

#include <antiphon/component/language_model.h>
#include <antiphon/component/token_table.h>

#include "network.h"

namespace antiphon::apps::conformance {
namespace {

constexpr double tolerance = 1e-4;

at::Tensor some_ids(const LanguageModel& model, int64_t count) {
  return (at::arange(count, at::kLong) * 7 + 3).remainder(model.vocab_size());
}

// Sequences of these lengths, each from position `past[i]` on.
DecoderInput input_of(LanguageModel& model, const at::Tensor& ids, const std::vector<int64_t>& lengths,
                      const std::vector<int64_t>& past = {}) {
  DecoderInput input;
  std::vector<at::Tensor> positions;
  for (size_t i = 0; i < lengths.size(); ++i) {
    const int64_t begin = past.empty() ? 0 : past[i];
    positions.push_back(at::arange(begin, begin + lengths[i], at::kLong));
  }
  input.x_td = model.embed(ids), input.lengths = lengths;
  if (model.reads_ids()) input.ids_t = ids;
  const auto all = at::cat(positions);
  input.positions_at = all.expand({model.position_axes(), all.size(0)});
  return input;
}

at::Tensor hidden(LanguageModel& model, const at::Tensor& ids) {
  return model.forward(input_of(model, ids, {ids.size(0)}));
}

// With blocks of four tokens, so that rows have several.
DecoderState small_cache(LanguageModel& model, int64_t rows, int64_t capacity) {
  constexpr int64_t block = 4;
  const auto dtype = model.embed(at::zeros({1}, at::kLong)).scalar_type();
  DecoderState cache(model.state_shape(), rows * DecoderState::blocks_for(capacity, block), dtype, block);
  for (int64_t row = 0; row < rows; ++row) cache.add_row();
  return cache;
}

// `ids` into row `row` of the cache, after what it holds.
at::Tensor append(LanguageModel& model, DecoderState& cache, int64_t row, const at::Tensor& ids,
                  const std::vector<TokenSpan>& media = {}) {
  auto input = input_of(model, ids, {ids.size(0)}, {cache.length(row)});
  input.media = media;
  input.cache = &cache, input.rows = {row};
  return model.forward(input);
}

void sizes_hold(LanguageModel& model) {
  c10::AutoGradMode no_grad(false);
  const auto ids = some_ids(model, 9);
  expect(model.max_positions() >= 16, "expected room for 16 positions at least, got {}", model.max_positions());
  expect_shape(model.embed(ids), {9, model.hidden_size()}, "embeddings [tokens, hidden_size]");
  if (model.writes())
    expect_shape(model.head_weight(), {model.vocab_size(), model.hidden_size()}, "a head [vocab_size, hidden_size]");
  expect_shape(hidden(model, ids), {9, model.hidden_size()}, "hidden states [tokens, hidden_size]");
}

// What answers rely on: text counts on, whatever a medium before it takes.
void positions_hold(const LanguageModel& model) {
  const auto axes = model.position_axes();
  const auto text = model.positions({9, {}});
  const auto type = text.scalar_type();
  expect((type == at::kLong || type == at::kFloat) && text.device().is_cpu(),
         "expected int64 or float32 positions on the CPU, got {} on {}", at::toString(type), text.device().str());
  expect_shape(text, {axes, 9}, "positions [position_axes(), tokens]");
  expect(at::equal(text, at::arange(9, type).expand({axes, 9})), "expected text at 0, 1, … on all axes");
  const auto mixed = model.positions({12, {{2, 6, {{2, 3}}}}});
  expect_shape(mixed, {axes, 12}, "positions of text and a picture [position_axes(), tokens]");
  expect(mixed.scalar_type() == type, "expected {} positions of every sample, got {}", at::toString(type),
         at::toString(mixed.scalar_type()));
  const auto after = mixed.narrow(1, 8, 4);
  expect(at::equal(after - after.narrow(1, 0, 1), at::arange(4, type).expand({axes, 4})) &&
             after.min().item<double>() == mixed.select(1, 8).max().item<double>() &&
             mixed.narrow(1, 0, 8).max().item<double>() < after.min().item<double>(),
         "expected text after a picture to count on from one number on all axes, beyond those of the picture");
}

void packed_is_one_by_one(LanguageModel& model) {
  c10::AutoGradMode no_grad(false);
  const std::vector<int64_t> lengths{5, 1, 5, 4};
  const auto ids = some_ids(model, std::accumulate(lengths.begin(), lengths.end(), int64_t{0}));
  const auto packed = model.forward(input_of(model, ids, lengths));
  std::vector<at::Tensor> apart;
  for (const auto& own : ids.split_with_sizes(lengths)) apart.push_back(hidden(model, own));
  expect_close(packed, at::cat(apart), tolerance, "sequences of 5, 1, 5 and 4 tokens packed against one by one");
}

void sees_no_future(LanguageModel& model) {
  c10::AutoGradMode no_grad(false);
  const auto ids = some_ids(model, 9);
  auto changed = ids.clone();
  changed[8] = (ids[8] + 1).remainder(model.vocab_size());
  expect_close(hidden(model, changed).narrow(0, 0, 8), hidden(model, ids).narrow(0, 0, 8), tolerance,
               "the first 8 of 9 tokens after a change of the last");
}

// Tokens 3 to 6 of 9 are a part of a medium, whose embeddings may see each other.
void media_are_a_whole(LanguageModel& model) {
  c10::AutoGradMode no_grad(false);
  const auto seen = [&](const at::Tensor& ids) {
    auto input = input_of(model, ids, {9});
    input.media = {{3, 4}};
    return model.forward(input);
  };
  const auto ids = some_ids(model, 9), whole = seen(ids);
  auto changed = ids.clone();
  changed[6] = (ids[6] + 1).remainder(model.vocab_size());
  expect_close(seen(changed).narrow(0, 0, 3), whole.narrow(0, 0, 3), tolerance,
               "the 3 tokens before a part of a medium after a change of its last embedding");
  auto cache = small_cache(model, 1, 12);
  const auto before = append(model, cache, 0, ids.narrow(0, 0, 2)),
             part = append(model, cache, 0, ids.narrow(0, 2, 6), {{1, 4}}),
             after = append(model, cache, 0, ids.narrow(0, 8, 1));
  expect_close(at::cat({before, part, after}), whole, tolerance,
               "9 tokens with a part of a medium through the cache in pieces against all at once");
}

void cache_continues(LanguageModel& model) {
  c10::AutoGradMode no_grad(false);
  const auto ids = some_ids(model, 12);
  const auto whole = hidden(model, ids);
  for (const std::vector<int64_t>& pieces : {std::vector<int64_t>{12}, {6, 1, 1, 1, 1, 1, 1}, {5, 4, 3}}) {
    auto cache = small_cache(model, 1, 12);
    std::vector<at::Tensor> out;
    for (const auto& piece : ids.split_with_sizes(pieces)) out.push_back(append(model, cache, 0, piece));
    expect_close(at::cat(out), whole, tolerance,
                 fmt::format("12 tokens through the cache in {} piece(s) against all at once", pieces.size()));
    expect(cache.length(0) == 12, "expected the cache to hold 12 tokens, got {}", cache.length(0));
  }
}

// Rows of different lengths, one new token each, in both orders.
void cache_rows_are_independent(LanguageModel& model) {
  c10::AutoGradMode no_grad(false);
  const auto ids = some_ids(model, 13), long_ids = ids.narrow(0, 0, 8), short_ids = ids.narrow(0, 8, 5);
  const auto wanted = at::stack({hidden(model, long_ids)[7], hidden(model, short_ids)[4]});
  for (const bool swapped : {false, true}) {
    auto cache = small_cache(model, 2, 16);
    append(model, cache, 0, long_ids.narrow(0, 0, 7));
    append(model, cache, 1, short_ids.narrow(0, 0, 4));
    const auto last = swapped ? at::stack({short_ids[4], long_ids[7]}) : at::stack({long_ids[7], short_ids[4]});
    auto input = input_of(model, last, {1, 1}, swapped ? std::vector<int64_t>{4, 7} : std::vector<int64_t>{7, 4});
    input.cache = &cache, input.rows = swapped ? std::vector<int64_t>{1, 0} : std::vector<int64_t>{0, 1};
    const auto y = model.forward(input);
    expect_close(swapped ? y.flip(0) : y, wanted, tolerance, "one step of two cache rows against all at once");
  }
}

// A row that others were made of, and one that was cut, go on as if nothing had been.
void rows_go_back(LanguageModel& model) {
  c10::AutoGradMode no_grad(false);
  const auto ids = some_ids(model, 14), first = ids.narrow(0, 0, 6), one = ids.narrow(0, 6, 4),
             other = ids.narrow(0, 10, 4);
  const auto after = [&](const at::Tensor& rest) {
    return hidden(model, at::cat({first, rest})).narrow(0, first.size(0), rest.size(0));
  };
  auto cache = small_cache(model, 1, 40);
  append(model, cache, 0, first);
  cache.keep_place(0);
  const auto copy = cache.fork(0);
  expect_close(append(model, cache, 0, one), after(one), tolerance, "4 tokens after 6 that a copy has, too");
  expect_close(append(model, cache, copy, other), after(other), tolerance, "4 other tokens after a copy of 6");
  const auto kept = cache.reachable(0, 8);
  expect(kept == 6 || kept == 8, "expected a row of 10 tokens, 6 of which are kept, to be cut to 6 or 8, got {}", kept);
  cache.truncate(0, 6);
  expect_close(append(model, cache, 0, other), after(other), tolerance, "4 other tokens after a row was cut to 6");
  cache.truncate(0, 0);
  expect_close(append(model, cache, 0, ids), hidden(model, ids), tolerance, "14 tokens in a row that was cut to none");
}

void full_cache_is_an_error(LanguageModel& model) {
  c10::AutoGradMode no_grad(false);
  auto cache = small_cache(model, 1, 4);
  try {
    append(model, cache, 0, some_ids(model, 5));
  } catch (const Error&) {
    return;
  }
  throw Unmet{"expected an antiphon::Error for 5 tokens into a cache of 4, got none"};
}

// As methods of fine-tuning change an embedding and a head.
struct TableChange : TableAdapter {
  at::Tensor read(const at::Tensor&, const at::Tensor& x_nd) override { return x_nd * 2; }
  AddedProducts written(const at::Tensor& hidden_nd, const Rows&) override {
    const auto outer_vr = at::arange(tokens, hidden_nd.options()).div_(tokens).unsqueeze(1);
    return {hidden_nd.narrow(1, 0, 1), outer_vr, hidden_nd.narrow(1, 1, 2) + 1,
            at::tensor({tokens - 1, int64_t{0}}, at::kLong)};
  }
  at::Tensor merged(const at::Tensor& table_vd) const override { return table_vd; }
  int64_t tokens = 0;
};

// If the model has tables at which such methods attach (Module::tables()).
void tables_are_changed(LanguageModel& model) {
  c10::AutoGradMode no_grad(false);
  const auto ids = some_ids(model, 9), rows = model.embed(ids), h = hidden(model, ids);
  for (const auto& site : model.module().tables()) {
    const auto change = std::make_shared<TableChange>();
    change->tokens = site.table->tokens;
    site.table->adapters.push_back(change);
    if (site.table->is_head) {
      expect(model.added_products(h).any(), "expected added_products() of a change of {}, got none", site.path);
      const auto added = change->written(h, {});
      const auto products =
          at::mm(h, model.head_weight().to(h.scalar_type()).t()) + added.inner_nr.mm(added.outer_vr.t());
      expect_close(model.logits(h), model.logit_rule().applied(added.with_columns(products)), tolerance,
                   "logits with a change of " + site.path);
    } else {
      expect_close(model.embed(ids), rows * 2, tolerance, "embeddings with a change of " + site.path);
    }
    site.table->adapters.pop_back();
  }
}

Network network(const Subject& subject) {
  std::shared_ptr<LanguageModel> model = build<LanguageModel>(subject);
  LanguageModel* used = model.get();
  return {model, &model->module(), [used](at::ScalarType type) {
            auto input = input_of(*used, some_ids(*used, 9), {6, 3});
            input.x_td = input.x_td.to(type);
            const auto h = used->forward(input);
            return used->writes() ? at::mm(h, used->head_weight().to(h.scalar_type()).t()) : h;
          }};
}

void check_language_model(Report& report, const Subject& subject) {
  if (!check_options(report, subject, resolver<LanguageModel>(subject))) return;
  const auto model = build<LanguageModel>(subject);
  if (!check_size(report, subject, model->module())) return;
  start(model->module(), 1);
  if (!report.check("shapes: embeddings, hidden states and head are as announced", [&] { sizes_hold(*model); })) return;
  report.check("positions: text counts on, after a picture, too", [&] { positions_hold(*model); });
  report.check("attention: packed sequences equal one by one", [&] { packed_is_one_by_one(*model); });
  const MakeNetwork make = [&] { return network(subject); };
  if (!model->writes()) {
    check_network(report, make);
    check_name_map(report, make, model->name_map());
    return;
  }
  report.check("attention: no token sees a later one", [&] { sees_no_future(*model); });
  report.check("media: a part is a whole, at once and in the cache", [&] { media_are_a_whole(*model); });
  report.check("cache: in pieces and token by token equal all at once", [&] { cache_continues(*model); });
  report.check("cache: rows do not mix", [&] { cache_rows_are_independent(*model); });
  report.check("cache: copies of rows and rows that are cut go on", [&] { rows_go_back(*model); });
  report.check("cache: more than its capacity is an error", [&] { full_cache_is_an_error(*model); });
  report.check("tables: changes of the embedding and of the head count", [&] { tables_are_changed(*model); });
  check_network(report, make);
  check_name_map(report, make, model->name_map());
}

const KindChecks registered{KindOf<LanguageModel>::name, check_language_model};

}  // namespace
}  // namespace antiphon::apps::conformance
