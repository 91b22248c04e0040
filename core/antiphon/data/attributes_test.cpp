// What is known of an answer, told to the model: where it stands, that it is not learnt, and what is refused.
#include <antiphon/data/attributes.h>
#include <antiphon/data/layouts/layouts.h>
#include <antiphon/data/layouts/sample_json.h>
#include <antiphon/data/test_loader.h>
#include <antiphon/data/test_records.h>

#include <catch2/catch_test_macros.hpp>

using namespace antiphon;
using namespace antiphon::data;
using namespace antiphon::data::testing;

namespace {

AttributeOptions two(const std::string& place = "assistant") { return {{"quality", "toxicity"}, place}; }

config::Value asks(const std::string& name, config::Value value) {
  return config::Value::Table{{name, std::move(value)}};
}

// Two answers with labels, a text and an object.
const char* kLabelled = R"({"id": "a", "messages": [
 {"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi.", "label": "toxicity:0, quality:4"},
 {"role": "user", "content": "And you?"}, {"role": "assistant", "content": "Fine.", "label": {"quality": 3.5, "toxicity": -100}}]})";

// The prompt as text, with what is learnt between « and ».
std::string shown(const Setup& setup, const Prepared& prepared) {
  std::string text;
  bool learnt = false;
  for (size_t i = 0; i < prepared.ids.size(); ++i) {
    if (learnt != prepared.supervised[i]) text += (learnt = prepared.supervised[i]) ? "«" : "»";
    text += setup.prompts.tokenizer().decode(std::vector<int32_t>{static_cast<int32_t>(prepared.ids[i])}, false);
  }
  return text + (learnt ? "»" : "");
}

struct Teller : Setup {
  explicit Teller(const AttributeOptions& options, const config::Value& asked = config::Value::Table{})
      : attributes(options, asked), telling(*model, prompts, cache, {}, 400, {}, {}, {}, nullptr, &attributes) {}
  std::string prompt(const std::string& record, Purpose purpose = Purpose::training) {
    return shown(*this, telling.prepare(parse_sample(record, "/d"), purpose));
  }
  Attributes attributes;
  Preparer telling;
};

std::string says_user(const std::string& text) { return "<|im_start|>user\n" + text + "<|im_end|>\n"; }
std::string opens() { return "<|im_start|>assistant\n"; }

}  // namespace

TEST_CASE("attributes: a line opens each answer, and is not learnt") {
  Teller teller(two());
  const auto first = says_user("Hello") + opens() + "quality:4,toxicity:0\n",
             second = says_user("And you?") + opens() + "quality:3.5\n";
  CHECK(teller.prompt(kLabelled) == first + "«Hi.<|im_end|>»\n" + second + "«Fine.<|im_end|>»\n");
  // Answers are asked for as they were learnt: with the label of the record's answer, token for token.
  const auto sample = parse_sample(kLabelled, "/d");
  const auto whole = teller.telling.prepare(sample, Purpose::training),
             asked = teller.telling.prepare(sample, Purpose::generation);
  CHECK(shown(teller, asked) == first + "«Hi.<|im_end|>»\n" + second);
  REQUIRE(asked.ids.size() < whole.ids.size());
  CHECK(std::equal(asked.ids.begin(), asked.ids.end(), whole.ids.begin()));
  CHECK(whole.supervised[asked.ids.size()]);
  CHECK_FALSE(whole.supervised[asked.ids.size() - 1]);
  // Labels of batches are the answers alone.
  const auto batch = pack({whole});
  std::vector<int32_t> labels;
  for (int64_t i = 0; i < batch.supervised(); ++i)
    labels.push_back(static_cast<int32_t>(batch.labels_n[i].item<int64_t>()));
  CHECK(teller.prompts.tokenizer().decode(labels, false) == "Hi.<|im_end|>Fine.<|im_end|>");
}

TEST_CASE("attributes: in the user's turn, or in the system's if all answers have one label") {
  Teller user(two("user")), system(two("system"));
  CHECK(user.prompt(kLabelled) == says_user("Hello\nquality:4,toxicity:0") + opens() + "«Hi.<|im_end|>»\n" +
                                      says_user("And you?\nquality:3.5") + opens() + "«Fine.<|im_end|>»\n");
  CHECK(user.prompt(kLabelled, Purpose::generation).ends_with(says_user("And you?\nquality:3.5") + opens()));
  const auto why = failure([&] { system.prompt(kLabelled); });
  REQUIRE(why);
  CHECK(why->kind() == ErrorKind::data);
  CHECK(why->message().find("'quality:4,toxicity:0' and 'quality:3.5'") != std::string::npos);
  const auto record = [](const std::string& before) {
    return R"({"messages": [)" + before +
           R"({"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi.", "label": "quality:4"}]})";
  };
  const auto rest = says_user("Hello") + opens() + "«Hi.<|im_end|>»\n";
  CHECK(system.prompt(record("")) == "<|im_start|>system\nquality:4<|im_end|>\n" + rest);
  CHECK(system.prompt(record(R"({"role": "system", "content": "Be brief."},)")) ==
        "<|im_start|>system\nBe brief.\nquality:4<|im_end|>\n" + rest);
}

TEST_CASE("attributes: what is asked for takes the place of the record's label") {
  Teller teller(two(), asks("quality", int64_t{2}));
  CHECK(teller.telling.asked() == "quality:2");
  CHECK(teller.prompt(kLabelled, Purpose::generation).ends_with(says_user("And you?") + opens() + "quality:2\n"));
  CHECK(teller.prompt(kLabelled).find("quality:2") == std::string::npos);
  const std::string plain =
      R"({"messages": [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi."}]})";
  CHECK(teller.prompt(plain, Purpose::generation) == says_user("Hello") + opens() + "quality:2\n");
  CHECK(teller.prompt(plain) == says_user("Hello") + opens() + "«Hi.<|im_end|>»\n");
  const auto refused = [](const AttributeOptions& options, const config::Value& asked) {
    const auto error = failure([&] { Attributes(options, asked); });
    return error && error->kind() == ErrorKind::config ? std::string(error->what()) : "";
  };
  CHECK(refused(two(), asks("qualty", 2.0)).find("'qualty'; data.attributes.names has quality, toxicity") !=
        std::string::npos);
  CHECK(refused({}, asks("quality", 2.0)).find("data.attributes.names has none") != std::string::npos);
  CHECK(refused(two(), asks("quality", "high")).find("expected a number") != std::string::npos);
  CHECK(refused(two(), "quality:4").find("expected a table") != std::string::npos);
  for (const auto* name : {"", "a:b", "a,b", " a", "quality"})
    CHECK(refused({{"quality", name}, "user"}, config::Value::Table{}).find("data.attributes.names has '") !=
          std::string::npos);
}

TEST_CASE("attributes: answers that an objective has the model write are asked for as in an evaluation") {
  Teller told(two()), asking(two(), asks("quality", int64_t{2})), none(AttributeOptions{});
  const auto sample = parse_sample(kLabelled, "/d");
  for (auto* teller : {&told, &asking}) {
    const auto group = teller->telling.prepare_prompt(sample, {2, 10});
    CHECK(shown(*teller, group.sequences.front())
              .ends_with(says_user("And you?") + opens() + (teller == &told ? "quality:3.5\n" : "quality:2\n")));
    CHECK(said_by(*group.record) == said_by(sample));
  }
  // Only then is what is asked for a part of how samples are drawn.
  const auto settings = [](Teller& teller, const std::optional<AnswerRoom>& written) {
    const auto options = teller.options({{line("a", "z"), 1}});
    return Loader(
               options, teller.telling, 256, 1, [](const BadSample&) {}, 1, {}, written)
        .draw_settings();
  };
  CHECK(settings(asking, AnswerRoom{2, 10}).ends_with("; answers asked for quality:2"));
  CHECK(settings(asking, {}) == settings(told, {}));
  CHECK(settings(told, {}) == settings(none, {}) + "; attributes quality, toxicity of the assistant");
}

TEST_CASE("attributes: a model that compares texts with media is told none") {
  Setup setup;
  const text::PromptBuilder captions(setup.prompts.tokenizer());
  const Attributes attributes(two("user"));
  const Preparer telling(*setup.model, captions, setup.cache, {}, 400, {}, {}, {}, nullptr, &attributes);
  const auto why = failure([&] { telling.prepare(parse_sample(kLabelled, "/d"), Purpose::training); });
  REQUIRE(why);
  CHECK(why->kind() == ErrorKind::config);
}

TEST_CASE("attributes: labels in the order of the names, without what is missing; others are refused") {
  const Attributes attributes(two());
  CHECK(attributes.told("quality:4,toxicity:0") == "quality:4,toxicity:0");
  CHECK(attributes.told(" toxicity : 0.25 ,quality:4.0") == "quality:4,toxicity:0.25");
  CHECK(attributes.told(R"({"toxicity": 1, "quality": null})") == "toxicity:1");
  CHECK(attributes.told("quality:-100,toxicity:-100").empty());
  for (const auto& [label, why] : std::map<std::string, std::string>{{"quality", "for a name and its number"},
                                                                     {"quality:x", "for a name and its number"},
                                                                     {"quality:nan", "for a name and its number"},
                                                                     {"quality:4,", "for a name and its number"},
                                                                     {"quality:4,quality:3", "twice"},
                                                                     {"humor:1", "has 'humor'"},
                                                                     {R"({"quality": "4"})", "no number"},
                                                                     {R"({"quality": 4)", "no JSON object"}}) {
    INFO(label);
    const auto error = failure([&] { attributes.told(label); });
    REQUIRE(error);
    CHECK(error->kind() == ErrorKind::data);
    CHECK(error->message().find(why) != std::string::npos);
  }
}

TEST_CASE("attributes: labels that nothing tells are said to be unread, and refused if the record needs them") {
  Setup setup;
  const auto sample = parse_sample(kLabelled, "/d");
  CHECK(sample.turns[1].label == "toxicity:0, quality:4");
  CHECK(setup.preparer.unread(sample) == std::set<std::string>{"turns: label"});
  CHECK(shown(setup, setup.preparer.prepare(sample, Purpose::training)).find("quality") == std::string::npos);
  Teller teller(two());
  CHECK(teller.telling.unread(sample).empty());
  const std::string nemo =
      R"({"system": "", "mask": "User", "type": "VALUE_TO_TEXT", "conversations": [
 {"from": "User", "value": "Hello", "label": null}, {"from": "Assistant", "value": "Hi.", "label": "quality:4"}]})";
  CHECK(teller.prompt(nemo) == says_user("Hello") + opens() + "quality:4\n«Hi.<|im_end|>»\n");
  const auto why = failure([&] { setup.preparer.prepare(parse_sample(nemo, "/d"), Purpose::training); });
  REQUIRE(why);
  CHECK(why->message().find("nothing tells the label 'quality:4'") != std::string::npos);
  // What is written of a sample says its labels, too.
  const auto again = to_record(sample, {[](size_t) { return std::string(); }});
  CHECK(said_by(parse_sample(again.dump(), "/d")) == said_by(sample));
  for (const auto& layout : layouts()) {
    if (layout.name != "conversations" && layout.name != "alpaca") continue;
    const auto lost = failure([&] { layout.write(sample, {[](size_t) { return std::string(); }}); });
    REQUIRE(lost);
    CHECK(lost->message().find("cannot hold the label of an answer") != std::string::npos);
  }
  auto other = sample;
  other.turns[1].label = "quality:3";
  CHECK(said_by(other) != said_by(sample));
}
