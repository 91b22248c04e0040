// What a session computes while a turn arrives is what the whole turn gives.
#include <ATen/ATen.h>

#include <antiphon/base/error.h>
#include <antiphon/base/log.h>
#include <antiphon/data/test_prompts.h>
#include <antiphon/engine/generator.h>
#include <antiphon/model/test_model.h>
#include <antiphon/session/session.h>
#include <antiphon/session/test_voice.h>

#include <catch2/catch_test_macros.hpp>

using namespace antiphon;
using namespace antiphon::session;
using State = SessionState;

namespace {

const bool quiet = (log::set_level(log::Level::error), true);

const char* kChunked = R"(
llm = { plugin = "test_lm", vocab_size = 600 }
streams.image = { encoder = { plugin = "test_pixels" }, connector = { plugin = "test_linear" } }
streams.audio = { encoder = { plugin = "test_chunks" }, connector = { plugin = "test_linear" } }
)";

struct Talk {
  explicit Talk(const SessionOptions& options = {}, bool hands_free = false, const char* toml = kChunked,
                const config::Value& asked = config::Value::Table{})
      : model(model::testing::test_model_that_answers(toml)),
        prompts(data::testing::tiny_prompts()),
        cache("", {}),
        attributes({{"quality"}}, asked),
        preparer(*model, prompts, cache, {}, 250, {}, {}, {}, nullptr, &attributes),
        session(*model, preparer, prompts.tokenizer(), {.max_tokens = 5}, options, hands_free ? &voice : nullptr,
                {[this](State state) { states.push_back(state); }, [this](const std::string& text) { said += text; }}) {
  }

  // All there is to do while nothing more arrives.
  void idle() {
    while (session.state() == State::listening && session.step()) {
    }
  }
  // The answer to the turn.
  std::string answer() {
    said.clear();
    session.end_turn();
    while (session.state() != State::listening) session.step();
    return said;
  }
  void feed(const std::vector<float>& samples, size_t piece) {
    for (size_t at = 0; at < samples.size(); at += piece) {
      session.feed({samples.data() + at, std::min(piece, samples.size() - at)});
      idle();
    }
  }
  // What the conversation up to the last question gives when all is computed anew.
  std::string anew() {
    auto sample = session.conversation();
    while (sample.turns.back().role != "user") sample.turns.pop_back();
    const auto ids = engine::generate(*model, {preparer.prepare(sample, data::Purpose::generation)}, {.max_tokens = 5},
                                      prompts.tokenizer().eos_ids());
    return prompts.tokenizer().decode(ids.front());
  }

  bool answers_as_anew() {
    const auto heard = answer();
    return heard == anew();
  }

  testing::TestVoice voice;
  std::unique_ptr<model::MultimodalLm> model;
  text::PromptBuilder prompts;
  data::FeatureCache cache;
  data::Attributes attributes;
  data::Preparer preparer;
  std::vector<State> states;
  std::string said;
  Session session;
};

// Levels that rise, one for each 1600 samples.
std::vector<float> speech(int64_t samples, float level = 0.6F) {
  std::vector<float> out;
  for (int64_t i = 0; i < samples; ++i) out.push_back(level + 0.01F * static_cast<float>(i / 1600));
  return out;
}

MediaRef picture(uint8_t first) {
  return {Modality::image,
          "made.png",
          {},
          std::make_shared<const MediaItem>(model::testing::test_image(2, 2, first)),
          std::to_string(first)};
}

}  // namespace

TEST_CASE("attributes that are asked for open every answer, and stay in the conversation") {
  Talk talk({}, false, kChunked, config::Value::Table{{"quality", int64_t{4}}}), plain;
  for (auto* one : {&talk, &plain}) one->session.say("red?");
  CHECK(talk.answers_as_anew());
  talk.session.say("and now?");
  CHECK(talk.answers_as_anew());
  CHECK(talk.session.conversation().turns[1].label == "quality:4");
  plain.answer();
  CHECK(plain.session.conversation().turns[1].label.empty());
  const auto prompt = talk.preparer.prepare(talk.session.conversation(), data::Purpose::generation);
  const auto text = talk.prompts.tokenizer().decode(std::vector<int32_t>(prompt.ids.begin(), prompt.ids.end()), false);
  CHECK(text.find("assistant\nquality:4\n") < text.find("and now?"));
  CHECK(text.ends_with("assistant\nquality:4\n"));
}

TEST_CASE("a spoken turn in pieces of any size is what the whole sound gives, and little is left to do at its end") {
  for (const size_t piece : {700, 1600, 5000, 100000})
    for (const int64_t samples : {1000, 3200, 20000, 40001}) {
      CAPTURE(piece, samples);
      Talk talk;
      talk.feed(speech(samples), piece);
      const auto said = talk.answer();
      CHECK(said == talk.anew());
      CHECK(talk.session.conversation().turns.size() == 2);
      CHECK(talk.session.conversation().media.at(0).item->audio.samples == speech(samples));
      CHECK(talk.session.computed_after_turn() <= (samples < 3200 ? 40 : 20));
      talk.session.say("and now?");
      CHECK(talk.answers_as_anew());
      talk.feed(speech(5000, 0.2F), piece);
      CHECK(talk.answers_as_anew());
    }
}

TEST_CASE("an encoder that takes whole sounds only is asked once the turn has ended") {
  Talk talk({}, false, R"(
llm = { plugin = "test_lm", vocab_size = 600 }
streams.audio = { encoder = { plugin = "test_levels" }, connector = { plugin = "test_linear" } }
)");
  talk.feed(speech(20000), 1000);
  CHECK(talk.session.tokens() == 0);
  CHECK(talk.answers_as_anew());
}

TEST_CASE(
    "a detector begins and ends turns; silence is not part of them, and at their end nothing is left to compute") {
  SessionOptions options;
  options.min_speech = 0.05, options.end_silence = 0.3, options.pad = 0.1, options.instruction = "What was said?";
  Talk talk(options, true);
  const auto silence = std::vector<float>(16000, 0.0F);
  talk.feed(silence, 800);
  CHECK(talk.session.conversation().turns.empty());
  talk.feed(speech(12000), 800);
  talk.feed(std::vector<float>(3200, 0.0F), 800);  // a pause: the rest is read, in case the turn ends here
  talk.feed(speech(9000), 800);                    // it does not: what was read too soon is taken back
  CHECK(talk.session.state() == State::listening);
  for (size_t at = 0; talk.session.state() == State::listening; at += 800) {
    REQUIRE(at < silence.size());
    talk.session.feed({silence.data() + at, 800});
    talk.idle();
  }
  talk.session.step();
  CHECK(talk.session.computed_after_turn() == 0);
  while (talk.session.state() != State::listening) talk.session.step();
  CHECK(talk.said == talk.anew());
  const auto& conversation = talk.session.conversation();
  CHECK(conversation.turns.front().parts.back().text == "What was said?");
  const auto seconds = conversation.media.at(0).item->audio.seconds();
  CHECK(seconds > (12000 + 3200 + 9000) / 16000.0 + 0.1);
  CHECK(seconds < (12000 + 3200 + 9000) / 16000.0 + 0.35);
  CHECK((talk.states == std::vector{State::thinking, State::speaking, State::listening}));
}

TEST_CASE("who goes on before the answer has begun goes on with the turn, unless speech does not stop answers") {
  for (const bool barge_in : {true, false}) {
    SessionOptions options;
    options.min_speech = 0.05, options.end_silence = 0.3, options.barge_in = barge_in;
    Talk talk(options, true);
    auto twice = speech(8000);
    twice.resize(16000, 0.0F);
    twice.insert(twice.end(), 8000, 0.7F);
    talk.session.feed(twice);  // all at once, so that nothing is done in between
    CHECK((talk.session.state() == State::listening) == barge_in);
    CHECK(talk.answers_as_anew());
    const auto& conversation = talk.session.conversation();
    CHECK(conversation.media.size() == 1);
    CHECK((conversation.media.front().item->audio.seconds() > 1.4) == barge_in);
  }
}

TEST_CASE("speech stops an answer and begins the next turn, unless that is off") {
  for (const bool barge_in : {true, false}) {
    SessionOptions options;
    options.min_speech = 0.05, options.end_silence = 0.3, options.barge_in = barge_in;
    Talk talk(options, true);
    talk.session.say("tell me");
    talk.session.end_turn();
    talk.session.step(), talk.session.step(), talk.session.step();
    REQUIRE(talk.session.state() == State::speaking);
    const auto before = talk.said;
    talk.session.feed(speech(4000));
    CHECK((talk.session.state() == State::listening) == barge_in);
    const auto& turns = talk.session.conversation().turns;
    REQUIRE(turns.size() == (barge_in ? 3 : 1));
    if (!barge_in) continue;
    CHECK(turns[1].role == "assistant");
    CHECK(turns[1].parts.front().text == before);
    talk.feed(speech(4000), 800);
    CHECK(talk.answers_as_anew());
  }
}

TEST_CASE("text, pictures and sound stand in the order in which they come; a turn can be dropped, an answer cut") {
  Talk talk;
  talk.session.attach(picture(1));
  talk.idle();
  CHECK(talk.session.tokens() > 0);
  talk.session.say("first");
  talk.feed(speech(4000), 1600);
  talk.session.attach(picture(9));
  CHECK(talk.answers_as_anew());
  REQUIRE(talk.session.conversation().turns.front().parts.size() == 4);
  const auto kept = talk.session.conversation();
  talk.session.attach(picture(3));
  talk.feed(speech(4000), 1600);
  talk.session.drop_turn();
  CHECK(talk.session.conversation().turns.size() == kept.turns.size());
  CHECK(talk.session.conversation().media.size() == kept.media.size());
  talk.session.say("go on");
  talk.session.end_turn();
  talk.session.step(), talk.session.step();
  talk.session.interrupt();
  CHECK(talk.session.state() == State::listening);
  talk.session.say("once more");
  CHECK(talk.answers_as_anew());
  talk.session.reset();
  CHECK(talk.session.conversation().turns.empty());
  talk.session.say("hello");
  CHECK(talk.answers_as_anew());
}

TEST_CASE("a medium that cannot be read, and a conversation that is full, leave what was before") {
  SessionOptions options;
  options.context = 60;
  Talk talk(options);
  CHECK_THROWS_AS(talk.session.attach({Modality::image, "nowhere.png", {}}), Error);
  CHECK(talk.session.conversation().turns.empty());
  talk.session.say("hello");
  CHECK(talk.answers_as_anew());
  const auto before = talk.session.conversation().turns.size();
  talk.session.say(std::string(300, 'z'));
  CHECK_THROWS_AS(talk.answer(), Error);
  CHECK(talk.session.state() == State::listening);
  CHECK(talk.session.conversation().turns.size() == before);
  talk.session.end_turn();  // an empty turn is not a turn
  CHECK_FALSE(talk.session.step());
  Talk deaf({}, false, R"(llm = { plugin = "test_lm" })");
  CHECK_THROWS_AS(deaf.session.feed(speech(100)), Error);
}
