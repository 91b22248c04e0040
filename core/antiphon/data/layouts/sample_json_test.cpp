// What is written of samples is read again as the same.
#include <antiphon/data/layouts/sample_json.h>
#include <antiphon/data/test_records.h>

#include <catch2/catch_test_macros.hpp>

using namespace antiphon;
using namespace antiphon::data;
using namespace antiphon::data::testing;
using OrderedJson = nlohmann::ordered_json;

namespace {

const char* kShownTalk = R"({"id": "a", "lang": "en", "messages": [
 {"role": "user", "content": [{"type": "image", "image": "/d/cat.png"}, {"type": "text", "text": "What?"},
  {"type": "audio", "audio": "/d/s.wav", "stream": "speech", "offset": 1.5, "duration": 2.0}]},
 {"role": "assistant", "content": "A cat.", "reasoning_content": "It has ears.", "loss": false},
 {"role": "user", "content": "Sure?"}, {"role": "assistant", "content": "Yes."}]})";

Target target_of(const Sample& sample, bool table = false) {
  return {[&sample](size_t index) { return sample.media.at(index).bytes.file().string(); }, table};
}

std::string why_refused(const std::function<void()>& write) {
  try {
    write();
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::data);
    return error.message();
  }
  return {};
}

}  // namespace

TEST_CASE("sample json: a record of messages is written as it was") {
  const auto sample = parse_sample(kShownTalk, "/d");
  const auto record = to_record(sample, target_of(sample));
  CHECK(record.dump() == OrderedJson::parse(kShownTalk).dump());
  CHECK(said_by(parse_sample(record.dump(), "/d")) == said_by(sample));
  auto other = sample;
  other.media[1].begin = 1;
  CHECK(said_by(other) != said_by(sample));
}

TEST_CASE("sample json: in a table texts are lists of parts, and media are listed beside the turns") {
  const auto sample = parse_sample(kShownTalk, "/d");
  const auto record = to_record(sample, target_of(sample, /*table=*/true));
  CHECK(record["images"] == OrderedJson::array({"/d/cat.png"}));
  CHECK_FALSE(record.contains("audios"));  // that of a stream that is named stays where it is
  for (const auto& message : record["messages"]) CHECK(message["content"].is_array());
  CHECK(said_by(parse_sample(record.dump(), "/d")) == said_by(sample));
}

TEST_CASE("sample json: two answers to one prompt are a pair, and anything else is none") {
  const std::string written =
      R"({"id":"p","prompt":[{"role":"user","content":"What?"}],"chosen":[{"role":"assistant","content":"A cat."}],)"
      R"("rejected":[{"role":"assistant","content":"A dog."}]})";
  auto sample = parse_sample(written, "/d", "auto", 2);
  CHECK(to_pair(sample, target_of(sample)).dump() == written);
  const auto refused = [&] { return why_refused([&] { to_pair(sample, target_of(sample)); }); };
  sample.candidates[0].value = 1;
  CHECK(says(refused(), "answers with scores"));
  sample.candidates.pop_back();
  CHECK(says(refused(), "anything but two answers"));
}

TEST_CASE("sample json: what messages cannot say is refused") {
  auto sample = parse_sample(kShownTalk, "/d");
  sample.media[1].channel = 1;
  const auto why = why_refused([&] { to_record(sample, target_of(sample)); });
  CHECK((says(why, "channel 1") && says(why, "s.wav") && says(why, "messages")));
}
