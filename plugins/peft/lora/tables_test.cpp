// LoRA and rows of tokens on the embedding and the head of a decoder, whose tables one or several processes have.
#include "tables.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <torch/csrc/autograd/autograd.h>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include <antiphon/base/error.h>
#include <antiphon/comm/test_group.h>
#include <antiphon/nn/blocks/decoder.h>
#include <antiphon/nn/token_scores.h>
#include <antiphon/nn/token_slices.h>

using namespace antiphon;
using namespace antiphon::lora;
using Catch::Matchers::ContainsSubstring;
using comm::testing::my_place;
using comm::testing::run_group;
using List = config::Value::Array;

namespace {

constexpr int64_t kTokens = 37, kWidth = 16;

nn::DecoderOptions options(bool tied) {
  nn::DecoderOptions o;
  o.vocab_size = kTokens, o.hidden_size = kWidth, o.intermediate_size = 24, o.num_layers = 1;
  o.num_heads = 2, o.num_kv_heads = 1, o.head_size = 8, o.max_positions = 32;
  o.tie_embeddings = tied, o.embed_multiplier = 2, o.logits = {0.5, 0};
  return o;
}

// A decoder and what is put on it, with values of their own. `by`: processes that have it together, after put().
struct Changed : Module {
  explicit Changed(bool tied, const SharedBy& processes = {}) : decoder(options(tied)), by(processes) {
    decoder.set_requires_grad(false);
    if (!is_shared()) decoder.initialize(3, at::kCPU);
  }
  bool is_shared() const { return by.group || by.stages; }
  std::vector<Site> chosen(const std::vector<std::string>& paths) {
    auto sites = decoder.tables();
    std::erase_if(sites, [&](const Site& site) { return std::ranges::count(paths, site.path) == 0; });
    return sites;
  }
  std::vector<std::string> put(const std::vector<std::string>& low_rank, const config::Value& tokens) {
    const auto paths = tables.attach(
        chosen(low_rank), trained_tokens(tokens, decoder.tables()),
        [](const Site&, int64_t in, int64_t out) {
          return LoraShape{in, out, 4, 1.5};
        },
        [this](const std::string& path, Module& module) { add(path, module); });
    if (is_shared()) decoder.share(by), decoder.initialize(3, at::kCPU);
    initialize(5, at::kCPU);
    tables.start(7);
    return paths;
  }
  void move() {
    c10::AutoGradMode no_grad(false);
    auto generator = at::detail::createCPUGenerator(11);
    for (const auto& parameter : parameters())
      parameter.tensor->add_(parameter.part_of(at::randn(parameter.whole_sizes(), generator)) * 0.1);
  }
  // Embeddings, logits and scores of some tokens.
  std::vector<at::Tensor> given() const {
    const auto ids = at::tensor({1, 36, 5, 5, 0}, at::kLong);
    const auto embedded = decoder.embed(ids), hidden = embedded.sin();
    return {embedded, decoder.logits(hidden),
            nn::token_scores(hidden, decoder.head_weight(), ids, {.chunk = 2, .logits = decoder.options().logits},
                             decoder.added_products(hidden))};
  }
  // What scores weigh, of what all processes of the group give.
  at::Tensor loss() const {
    const auto ids = at::tensor({1, 36, 5, 20, 0}, at::kLong), labels = at::tensor({36, 18, 5, 19, 0}, at::kLong);
    auto x = decoder.embed(ids);
    if (by.group) {
      const auto sizes = nn::TokenSlices{by.group, nullptr, by.group}.in_parts(5);
      x = nn::whole_tokens(nn::slice_of_sum(x, sizes, *by.group, /*learns=*/true).sin(), sizes, *by.group);
    } else {
      x = x.sin();
    }
    const auto part = decoder.head_part();
    const auto scores = nn::token_scores(
        x, decoder.head_weight(), labels,
        {.chunk = 2, .group = part.group, .first_token = part.begin, .logits = decoder.options().logits},
        decoder.added_products(x));
    return (scores * at::tensor({1.0F, -0.5F, 2.0F, 0.3F, 1.0F})).sum();
  }
  nn::Decoder decoder;
  Tables tables;
  SharedBy by;
};

void check_close(const std::vector<at::Tensor>& got, const std::vector<at::Tensor>& expected) {
  for (size_t i = 0; i < got.size(); ++i) {
    INFO("number " << i);
    CHECK(at::allclose(got[i].detach(), expected[i].detach(), 1e-5, 1e-5));
  }
}

bool differ(const at::Tensor& a, const at::Tensor& b) { return !at::allclose(a, b, 1e-4, 1e-4); }

config::Value by_table(config::Value::Table table) { return config::Value(std::move(table)); }

}  // namespace

TEST_CASE("tables: a change begins at the base, and merged it is what it was beside the weights") {
  for (const bool tied : {false, true}) {
    const auto both = by_table({{"embed_tokens", List{5, 36}}, {"lm_head", List{5, 36}}});
    for (const auto& [low_rank, tokens] :
         std::vector<std::pair<std::vector<std::string>, config::Value>>{{{"embed_tokens", "lm_head"}, {}},
                                                                         {{}, List{36, 5}},
                                                                         {{}, both},
                                                                         {{}, by_table({{"lm_head", List{1}}})}}) {
      if (tied && (!low_rank.empty() || !tokens.get_if<List>()) && !config::same(tokens, both)) continue;
      Changed model(tied);
      const auto before = model.given();
      model.put(low_rank, tokens);
      check_close(model.given(), before);
      model.move();
      c10::AutoGradMode no_grad(false);
      const auto after = model.given();
      CHECK(differ(after[2], before[2]));
      model.tables.merge();
      check_close(model.given(), after);
      for (const auto& site : model.decoder.tables()) CHECK(site.table->adapters.empty());
    }
  }
}

TEST_CASE("tables: gradients are those of the changed weights") {
  Changed model(false);
  model.put({"embed_tokens"}, by_table({{"lm_head", List{5, 36, 2}}}));
  model.move();
  model.set_requires_grad(true);
  std::vector<at::Tensor> inputs;
  for (const auto& parameter : model.parameters()) inputs.push_back(*parameter.tensor);
  const auto& a = inputs[0];
  const auto& b = inputs[1];
  const auto& rows = inputs[2];
  REQUIRE(a.sizes() == at::IntArrayRef{4, kTokens});
  REQUIRE(b.sizes() == at::IntArrayRef{kWidth, 4});
  REQUIRE(rows.sizes() == at::IntArrayRef{3, kWidth});
  const auto ids = at::tensor({1, 36, 5, 5, 0}, at::kLong);
  const auto tables = model.decoder.tables();
  const auto embedding = *tables[0].table->weight + b.mm(a).t() * 1.5,
             head = tables[1].table->weight->index_copy(0, at::tensor({5, 36, 2}, at::kLong), rows);
  const auto hidden = (at::embedding(embedding, ids) * 2).sin();
  const auto expected = at::log_softmax(hidden.mm(head.t()) * 0.5, 1).gather(1, ids.unsqueeze(1)).squeeze(1);
  const auto weights = at::tensor({1.0F, -0.5F, 2.0F, 0.3F, 1.0F});
  const auto got = model.given()[2];
  check_close({got}, {expected});
  check_close(torch::autograd::grad({(got * weights).sum()}, inputs),
              torch::autograd::grad({(expected * weights).sum()}, inputs));
}

TEST_CASE("tables: a checkpoint says of which tokens it has rows, PEFT's file does not") {
  const auto names = [](const config::Value& tokens) {
    Changed model(false);
    model.put({}, tokens);
    return model.parameters().front().name;
  };
  CHECK(names(List{5, 36}) == "embed_tokens.token_adapter.trainable_tokens_delta#5,36");
  CHECK(names(List{36, 5}) != names(List{5, 36}));
  List many, others;
  for (int64_t id = 0; id < 30; ++id) many.emplace_back(id), others.emplace_back(id + 1);
  CHECK(names(many).size() < 100);
  CHECK(names(many) != names(others));
}

TEST_CASE("tables: rows of tokens that a pass does not read get no gradient, and factors of tokens are like tables") {
  Changed model(false);
  model.put({"lm_head"}, List{5, 36, 2});
  model.move();
  model.set_requires_grad(true);
  model.decoder.embed(at::tensor({36, 1, 0, 7}, at::kLong)).sum().backward();
  for (const auto& parameter : model.parameters()) {
    const bool rows = parameter.name.find("trainable_tokens_delta") != std::string::npos;
    CHECK((parameter.role == Role::embedding) == (rows || parameter.name.ends_with("lora_B.weight")));
    if (!rows) continue;
    const auto grad = parameter.tensor->grad();
    CHECK(grad.select(0, 0).abs().max().item<float>() == 0);
    CHECK(grad.select(0, 1).abs().min().item<float>() > 0);
    CHECK(grad.select(0, 2).abs().max().item<float>() == 0);
  }
}

TEST_CASE("tables: a head that is the embedding") {
  Changed shared(true), embedding(true), head(true), apart(true);
  CHECK(shared.put({}, List{5, 36}) == std::vector<std::string>{"embed_tokens", "lm_head"});
  CHECK(shared.parameters().size() == 1);
  using Keys = std::vector<std::pair<std::string, std::string>>;
  const std::string end = ".token_adapter.trainable_tokens_delta", of = "base_model.model.";
  CHECK(shared.tables.repeated_keys() == Keys{{of + "lm_head" + end, of + "embed_tokens" + end}});
  CHECK_FALSE(shared.tables.part_of_tied());
  CHECK(apart.put({}, by_table({{"embed_tokens", List{5}}, {"lm_head", List{36}}})).size() == 2);
  CHECK(apart.tables.part_of_tied());
  CHECK_FALSE(apart.tables.low_rank_of_tied());
  embedding.put({"embed_tokens"}, {}), head.put({"lm_head"}, {});
  const auto before = embedding.given();
  embedding.move(), head.move();
  CHECK(differ(embedding.given()[0], before[0]));
  CHECK_FALSE(differ(head.given()[0], before[0]));
  CHECK(differ(head.given()[1], before[1]));
  for (auto* model : {&embedding, &head}) {
    CHECK(model->tables.low_rank_of_tied());
    CHECK_THROWS_WITH(model->tables.merge(), ContainsSubstring("the head is the embedding"));
  }
  // Of an embedding that is not the head, the embedding's rows alone.
  Changed untied(false);
  CHECK(untied.put({}, List{5, 36}) == std::vector<std::string>{"embed_tokens"});
}

TEST_CASE("tables: adapters that are switched off change nothing, and the second changes what the first made") {
  Changed model(false);
  const auto before = model.given();
  model.put({"lm_head", "embed_tokens"}, {});
  model.put({}, by_table({{"lm_head", List{5}}, {"embed_tokens", List{1}}}));
  model.move();
  for (const auto& site : model.decoder.tables()) site.table->adapters.back()->set = 1;
  const auto both = model.given();
  {
    const AdapterScope none(0);
    check_close(model.given(), before);
  }
  {
    const AdapterScope first(1);
    CHECK(differ(model.given()[1], both[1]));
  }
  c10::AutoGradMode no_grad(false);
  model.tables.merge();
  check_close(model.given(), both);
}

TEST_CASE("tables: what is not a token of a table is refused") {
  const auto refused = [](const config::Value& tokens, const std::vector<std::string>& low_rank, const char* words) {
    Changed model(false);
    CHECK_THROWS_WITH(model.put(low_rank, tokens), ContainsSubstring(words));
  };
  refused(List{37}, {}, "37 is not a token");
  refused(List{-1}, {}, "-1 is not a token");
  refused(List{1, 1}, {}, "1 is there twice");
  refused(List{"a"}, {}, "is not a token");
  refused(3, {}, "a list of ids");
  refused(by_table({{"embed", List{1}}}), {}, "no table of tokens 'embed'");
  refused(List{1}, {"embed_tokens"}, "is among the targets, too");
  CHECK_THROWS_WITH(trained_tokens(List{1}, {}), ContainsSubstring("no table of tokens"));
  CHECK(trained_tokens({}, {}).empty());
  CHECK(trained_tokens(List{}, {}).empty());
}

namespace {

struct OnTables {
  bool tied;
  std::vector<std::string> low_rank;
  config::Value tokens;
};

// Of the first process's tokens alone, of the second's alone, of both's.
std::vector<OnTables> on_tables() {
  return {{false, {"embed_tokens", "lm_head"}, {}},
          {false, {"lm_head"}, List{36, 5}},
          {false, {}, by_table({{"embed_tokens", List{20}}, {"lm_head", List{0}}})},
          {true, {}, List{36, 5, 18}},
          {true, {"embed_tokens"}, {}},
          {true, {"lm_head"}, {}}};
}

// The values that this process has are the whole's, and so are the sums of the gradients.
void check_divided(Changed& whole, Changed& shared, comm::Group& group) {
  const auto same_values = [&] {
    for (size_t i = 0; i < whole.parameters().size(); ++i) {
      const auto of_whole = whole.parameters()[i], own = shared.parameters()[i];
      INFO(own.name);
      CHECK(at::equal(*own.tensor, own.part_of(*of_whole.tensor)));
    }
  };
  same_values();
  whole.move(), shared.move();
  same_values();
  for (auto* model : {&whole, &shared}) model->set_requires_grad(true);
  const auto expected = whole.loss(), got = shared.loss();
  CHECK(std::abs((got - expected).item<float>()) <= 1e-5 * std::abs(expected.item<float>()));
  torch::autograd::backward({expected}, {});
  torch::autograd::backward({got}, {});
  for (size_t i = 0; i < whole.parameters().size(); ++i) {
    const auto of_whole = whole.parameters()[i], own = shared.parameters()[i];
    INFO(own.name);
    const auto wanted = of_whole.tensor->grad();
    auto gradient = own.tensor->grad().defined() ? own.tensor->grad().clone() : at::zeros_like(*own.tensor).detach();
    if (!own.box) group.sum(gradient);
    REQUIRE(wanted.abs().max().item<float>() > 0);
    CHECK((gradient - own.part_of(wanted)).abs().max().item<float>() <= 1e-5 * wanted.abs().max().item<float>());
  }
}

}  // namespace

TEST_CASE("tables: processes that have some of the tokens each give what one gives, and its gradients") {
  CHECK(run_group(2, "member has some of the tokens") == 0);
}

TEST_CASE("member has some of the tokens", "[.]") {
  comm::Group group(my_place());
  size_t divided = 0;
  for (const auto& [tied, low_rank, tokens] : on_tables()) {
    CAPTURE(tied, low_rank);
    Changed whole(tied), shared(tied, {.group = &group, .slices = &group});
    whole.put(low_rank, tokens), shared.put(low_rank, tokens);
    check_divided(whole, shared, group);
    for (const auto& parameter : shared.parameters()) divided += parameter.box.has_value();
    for (const auto& copy : shared.tables.copies_of_part()) {
      const auto& table = *whole.decoder.tables()[copy.name.find("lm_head") != std::string::npos].table->weight;
      CHECK(copy.whole_sizes() == table.sizes());
      CHECK(at::equal(copy.part_of(table), *copy.tensor));
    }
  }
  CHECK(divided == 5);  // factors of tokens
  CHECK(comm::testing::same_ledger(group));
  group.wait_for_all();
}

TEST_CASE("tables: the first stage has what changes the embedding, the last what changes the head") {
  CHECK(run_group(2, "member has tables of a stage") == 0);
}

TEST_CASE("member has tables of a stage", "[.]") {
  comm::Group group(my_place());
  for (const auto& [tied, low_rank, tokens] : on_tables()) {
    CAPTURE(tied, low_rank);
    Changed whole(tied), shared(tied, {.stages = &group});
    whole.put(low_rank, tokens), shared.put(low_rank, tokens);
    for (size_t i = 0; i < whole.parameters().size(); ++i) {
      const auto of_whole = whole.parameters()[i], own = shared.parameters()[i];
      INFO(own.name);
      const bool has = tied || own.name.starts_with(group.rank() == 0 ? "embed_tokens" : "lm_head");
      CHECK(own.whole_sizes() == of_whole.tensor->sizes());
      CHECK(own.tensor->numel() == (has ? of_whole.numel() : 0));
      CHECK((!has || at::equal(*own.tensor, *of_whole.tensor)));
    }
  }
  group.wait_for_all();
}
