#include <antiphon/nn/linear/site_choice.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include <antiphon/base/error.h>
#include <antiphon/component/token_table.h>

using namespace antiphon;
using namespace antiphon::nn;
using Catch::Matchers::ContainsSubstring;
using Names = std::vector<std::string>;
using List = config::Value::Array;

namespace {

std::vector<Site> llama_sites() {
  std::vector<Site> sites;
  for (const std::string layer : {"0", "1", "12"})
    for (const char* name : {"self_attn.q_proj", "self_attn.v_proj", "mlp.experts.1.w1"})
      sites.push_back({"model.layers." + layer + "." + name, nullptr});
  return sites;
}

Names chosen(const SiteChoice& choice) {
  Names names;
  for (const auto& site : chosen_sites("test", choice, llama_sites())) names.push_back(site.path);
  return names;
}

std::string refused(const SiteChoice& choice) {
  try {
    chosen(choice);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::config);
    return std::string(error.what()) + error.fix();
  }
  return {};
}

}  // namespace

TEST_CASE("sites: a list names ends and globs, a text is a regular expression over whole names") {
  CHECK(chosen({.targets = List{"q_proj"}}).size() == 3);
  CHECK(chosen({.targets = List{"model.layers.1.*"}}).size() == 3);  // not those of layer 12
  CHECK(chosen({.targets = "model\\.layers\\.1\\..*"}).size() == 3);
  CHECK(chosen({.targets = ".*[qv]_proj"}).size() == 6);
  CHECK(chosen({.targets = ".*q_proj|.*q_pro"}).size() == 3);  // the longer one, too
  CHECK(chosen({.targets = "all-linear"}).size() == 9);
  CHECK_THAT(refused({.targets = "q_proj"}), ContainsSubstring("matches the regular expression q_proj"));
  CHECK_THAT(refused({.targets = "(q"}), ContainsSubstring("correct the regular expression"));
  CHECK_THAT(refused({.targets = 3}), ContainsSubstring("expected a list of names"));
  CHECK_THAT(refused({.targets = List{"q_proj", 3}}), ContainsSubstring("expected a list of names"));
  CHECK_THAT(refused({.targets = List{"q_porj"}}), ContainsSubstring("did you mean 'q_proj'"));
}

TEST_CASE("sites: tables of tokens are chosen by their names, or by a regular expression that has them") {
  TokenTable embedding({}, 10, 4, /*is_head=*/false, /*tied=*/false), head({}, 10, 4, /*is_head=*/true, /*tied=*/false);
  auto places = llama_sites();
  places.push_back({"model.embed_tokens", nullptr, &embedding}), places.push_back({"lm_head", nullptr, &head});
  const auto tables = [&](const SiteChoice& choice) {
    Names names;
    for (const auto& site : chosen_sites("test", choice, places))
      if (site.table) names.push_back(site.path);
    return names;
  };
  CHECK(tables({.targets = List{"q_proj", "embed_tokens"}}) == Names{"model.embed_tokens"});
  CHECK(tables({.targets = List{"lm_head", "model.embed_tokens"}}) == Names{"model.embed_tokens", "lm_head"});
  CHECK(tables({.targets = ".*q_proj|lm_head"}) == Names{"lm_head"});
  CHECK(tables({.targets = R"(model\.(embed_tokens|layers\.0\..*))"}) == Names{"model.embed_tokens"});
  CHECK(tables({.targets = ".*"}).empty());
  CHECK(tables({.targets = R"(model\..*)"}).empty());
  CHECK(tables({.targets = "all-linear"}).empty());
  CHECK(tables({.targets = List{"all-linear"}}).empty());
  CHECK(tables({.targets = List{"*"}}).empty());
  CHECK(tables({.targets = List{"lm_head", "q_proj"}, .exclude = List{"lm_head"}}).empty());
  CHECK(tables({.targets = List{"q_proj", "embed_tokens", "lm_head"}, .exclude = R"(model\.[a-z_]*)"}) ==
        Names{"lm_head"});
  CHECK(tables({.targets = List{"q_proj", "lm_head"}, .whole = {"lm_head"}}).empty());
  CHECK_THROWS_WITH(tables({.targets = List{"q_proj", "lm_head"}, .layers = {0}}),
                    ContainsSubstring("layers_to_transform beside lm_head, which is in no layer"));
  CHECK(tables({.targets = List{"q_proj", "lm_head"}, .exclude = List{"lm_head"}, .layers = {0}}).empty());
  const SiteChoice both{.targets = List{"q_proj", "lm_head"}};
  CHECK(chosen_names(both, chosen_sites("test", both, places)) == Names{"lm_head", "q_proj"});
}

TEST_CASE("sites: some are left out, and those within modules that are trained whole") {
  CHECK(chosen({.targets = "all-linear", .exclude = List{"w1", "v_proj"}}).size() == 3);
  CHECK(chosen({.targets = List{"q_proj"}, .exclude = ".*\\.12\\..*"}).size() == 2);
  CHECK(chosen({.targets = "all-linear", .whole = {"mlp"}}).size() == 6);
  CHECK(chosen({.targets = "all-linear", .whole = {"layers.1"}}).size() == 6);
  CHECK_THAT(refused({.targets = List{"q_proj"}, .exclude = List{"k_proj"}}), ContainsSubstring("k_proj"));
  CHECK_THAT(refused({.targets = List{"w1"}, .exclude = List{"w1"}}), ContainsSubstring("no site is left"));
}

TEST_CASE("sites: layers by the first number in a name, or by that behind a name") {
  CHECK(chosen({.targets = List{"w1"}, .layers = {1}}) == Names{"model.layers.1.mlp.experts.1.w1"});
  CHECK(chosen({.targets = List{"w1"}, .layers = {0, 12}}).size() == 2);
  CHECK(chosen({.targets = List{"w1"}, .layers = {1}, .layers_pattern = {"experts"}}).size() == 3);
  CHECK_THAT(refused({.targets = List{"w1"}, .layers = {1, 2}}), ContainsSubstring("layer 2"));
  CHECK_THAT(refused({.targets = List{"w1"}, .layers = {1}, .layers_pattern = {"h"}}), ContainsSubstring("layer 1"));
  CHECK_THAT(refused({.targets = ".*w1", .layers = {1}}), ContainsSubstring("beside a regular expression"));
  CHECK_THAT(refused({.targets = List{"w1"}, .layers_pattern = {"layers"}}), ContainsSubstring("without"));
}

TEST_CASE("sites: PEFT's names of what was chosen mean nothing else") {
  const auto names = [](const SiteChoice& choice) {
    return chosen_names(choice, chosen_sites("test", choice, llama_sites()));
  };
  CHECK(names({.targets = List{"v_proj", "q_proj"}}) == Names{"q_proj", "v_proj"});
  CHECK(names({.targets = List{"v_proj"}, .layers = {1}}) == Names{"model.layers.1.self_attn.v_proj"});
  CHECK(names({.targets = ".*1\\..*q_proj"}) == Names{"model.layers.1.self_attn.q_proj"});
}

TEST_CASE("modules that are trained whole: by the end of a module's name") {
  CHECK(trained_whole("norm", "model.norm.weight"));
  CHECK(trained_whole("norm", "model.layers.0.input_layernorm.weight"));
  CHECK(trained_whole("mlp", "model.layers.0.mlp.up_proj.weight"));
  CHECK_FALSE(trained_whole("weight", "model.norm.weight"));
  CHECK_FALSE(trained_whole("lm_head", "model.norm.weight"));
}
