// What [model] freeze leaves as it is.
#include <antiphon/model/test_model.h>

#include <antiphon/base/error.h>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <map>

using namespace antiphon;
using namespace antiphon::model;
using namespace antiphon::model::testing;

namespace {

const char* const kTrained = R"(
llm = { plugin = "test_lm", trainable = true }
streams.image = { encoder = { plugin = "test_pixels", trainable = true }, connector = { plugin = "test_linear" } }
streams.audio = { encoder = { plugin = "test_levels" }, connector = { plugin = "test_linear" } }
)";

std::unique_ptr<Model> frozen_by(const std::string& globs, const std::string& toml = kTrained) {
  register_test_components();
  config::Problems problems;
  auto spec = model_table().parse(config::parse_toml(toml + "freeze = " + globs + "\n", "test"), "model", problems);
  problems.throw_if_any();
  return build(spec);
}

std::vector<std::string> trained_in(Model& model) {
  std::vector<std::string> names;
  for (const auto& parameter : model.trainable_parameters()) names.push_back(parameter.name);
  return names;
}

std::string refused(const std::string& globs, const std::string& toml = kTrained) {
  try {
    frozen_by(globs, toml);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::config);
    return error.what();
  }
  return {};
}

bool says(const std::string& text, const std::string& words) { return text.find(words) != std::string::npos; }

}  // namespace

TEST_CASE("freeze: what a glob matches, in any part, is not trained, and is counted") {
  const auto all = trained_in(*frozen_by("[]"));
  auto model = frozen_by(R"(["llm/layers.0.*", "streams.*/bias"])");
  auto left = all;
  std::erase_if(left, [](const auto& name) { return name.starts_with("llm/layers.0.") || name.ends_with("/bias"); });
  CHECK(trained_in(*model) == left);
  CHECK((left.size() < all.size() && std::ranges::count(left, "streams.audio.connector/weight") == 1));
  std::map<std::string, FrozenOfPart> counts;
  for (const auto& part : model->frozen) counts[part.path] = part;
  CHECK(counts.size() == 3);
  const auto of_llm = std::ranges::count_if(all, [](const auto& name) { return name.starts_with("llm/"); });
  const auto frozen = std::ranges::count_if(all, [](const auto& name) { return name.starts_with("llm/layers.0."); });
  CHECK((counts["llm"].all == of_llm && counts["llm"].frozen == frozen && counts["llm"].values > frozen));
  CHECK((counts["streams.image.connector"].frozen == 1 && counts["streams.image.connector"].all == 2));
  CHECK(frozen_by("[]")->frozen.empty());
}

TEST_CASE(
    "freeze: of a part some of which is frozen the rest is trained; checkpoints of one without weights hold all") {
  auto model = frozen_by(R"(["streams.*/bias"])");
  model->load({});
  const auto names = trained_in(*model);
  for (const auto& name : names) CHECK_FALSE(name.ends_with("/bias"));
  CHECK(std::ranges::count(names, "streams.image.connector/weight") == 1);
  const auto saved = model->saved_parameters();
  const auto bias = std::ranges::find(saved, "streams.image.connector/bias", &Parameter::name);
  REQUIRE(bias != saved.end());
  CHECK_FALSE(bias->tensor->requires_grad());
}

TEST_CASE("freeze: globs that leave nothing of a part to train are refused") {
  CHECK(says(refused(R"(["streams.image.connector/*"])"), "set trainable = false of [model.streams.image.connector]"));
  CHECK(says(refused(R"(["streams.*/weight", "streams.*/bias"])"), "set trainable = false of [model.streams.audio.co"));
  CHECK(says(refused(R"(["streams.image.encoder/*"])"), "set trainable = false of [model.streams.image.encoder]"));
  CHECK(says(refused(R"(["llm/*"])"), "model.freeze leaves nothing of [model.llm] to be trained"));
}

TEST_CASE("freeze: a glob that matches nothing that is trained is refused") {
  CHECK(says(refused(R"(["llm/*", "llm/no_such"])"), "model.freeze[1]: 'llm/no_such' matches no parameter"));
  CHECK(says(refused(R"(["streams.audio.encoder/*"])"), "the first parameter is called 'llm/"));
  const std::string only_method = R"(
llm = { plugin = "test_lm", peft = [{ plugin = "test_prompt" }] }
)";
  CHECK(says(refused(R"(["llm.peft.0/*"])", only_method), "no part is trained itself"));
}
