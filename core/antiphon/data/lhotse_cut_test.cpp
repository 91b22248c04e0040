// Lhotse's cuts as samples.
#include <antiphon/base/error.h>
#include <antiphon/data/test_records.h>

#include <fmt/format.h>
#include <catch2/catch_test_macros.hpp>
#include <nlohmann/json.hpp>

using namespace antiphon;
using namespace antiphon::data;
using namespace antiphon::data::testing;
using Json = nlohmann::ordered_json;

namespace {

Json plain_cut() {
  return Json::parse(R"({"id": "c", "start": 1.5, "duration": 2.25, "channel": 0,
    "supervisions": [{"id": "s2", "recording_id": "r", "start": 1.0, "duration": 1.0, "text": "you"}, {"id": "s1", "recording_id": "r", "start": 0.0, "duration": 1.0, "text": "thank"}],
    "recording": {"id": "r", "sources": [{"type": "file", "channels": [0], "source": "a.wav"}], "sampling_rate": 16000, "num_samples": 160000, "duration": 10.0, "channel_ids": [0], "transforms": null}, "type": "MonoCut"})");
}

Sample parsed(const Json& cut, const std::map<std::string, MediaBytes>& own = {}) {
  return RecordReader(source_of({}), 1).read({cut.dump(), 1, own}, "/d");
}

std::string refused(const Json& cut) {
  try {
    parsed(cut);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::data);
    return error.message();
  }
  return {};
}

std::string refused_with(const char* pointer, const Json& value) {
  auto cut = plain_cut();
  cut[Json::json_pointer(pointer)] = value;
  return refused(cut);
}

}  // namespace

TEST_CASE("lhotse: a cut is a piece of a recording and its words") {
  const auto sample = parsed(plain_cut());
  CHECK(sample.id == "c");
  REQUIRE(sample.media.size() == 1);
  CHECK((sample.media[0].bytes == "/d/a.wav" && sample.media[0].begin == 1.5 && sample.media[0].seconds == 2.25));
  REQUIRE(sample.turns.size() == 2);
  CHECK((sample.turns[0].parts.at(0).media == 0 && sample.turns[0].parts.at(1).text == "Transcribe the audio."));
  CHECK(sample.turns[1].parts.at(0).text == "thank you");
  CHECK(sample.unread.empty());
}

TEST_CASE("lhotse: questions and answers out of custom") {
  auto cut = plain_cut();
  cut["custom"] = {{"context", "Who speaks?"}, {"answer", "A woman."}, {"pnc", "yes"}, {"tokens", {1, 2}}};
  cut["supervisions"] = Json::array();
  const auto sample = parsed(cut);
  CHECK((sample.turns[0].parts.at(1).text == "Who speaks?" && sample.turns[1].parts.at(0).text == "A woman."));
  CHECK(sample.unread == std::set<std::string>{"custom: tokens"});
  cut["custom"] = {{"target_audio", {{"id", "x"}}}};
  CHECK(says(refused(cut), "'custom: target_audio' may name media"));
}

TEST_CASE("lhotse: recordings in Shar archives, by the id of the cut") {
  auto cut = plain_cut();
  cut["recording"]["sources"][0] = {{"type", "shar"}, {"channels", {0}}, {"source", ""}};
  CHECK(says(refused(cut), "no archive holds the recording of the cut 'c'"));
  CHECK(parsed(cut, {{"c", MediaBytes::memory("sound", "c.flac")}}).media.at(0).bytes.read(10) == "sound");
}

TEST_CASE("lhotse: of several channels the one that the cut is of") {
  const auto heard = [](const Json& sources, const Json& channel) {
    auto cut = plain_cut();
    cut["recording"]["sources"] = sources, cut["recording"]["channel_ids"] = {3, 5, 8}, cut["channel"] = channel;
    const auto ref = parsed(cut).media.at(0);
    return std::pair(ref.bytes.file().string(), ref.channel.value_or(-1));
  };
  CHECK_FALSE(parsed(plain_cut()).media.at(0).channel);
  const auto source = [](const char* name, const Json& channels) {
    return Json{{"type", "file"}, {"channels", channels}, {"source", name}};
  };
  const auto one = Json::array({source("a.wav", {3, 5, 8})});
  const auto several = Json::array({source("a.wav", {5}), source("b.wav", {8, 3})});
  CHECK(heard(one, 3) == std::pair<std::string, int64_t>("/d/a.wav", 0));
  CHECK(heard(one, 8) == std::pair<std::string, int64_t>("/d/a.wav", 2));
  CHECK(heard(several, 5) == std::pair<std::string, int64_t>("/d/a.wav", 0));
  CHECK(heard(several, 3) == std::pair<std::string, int64_t>("/d/b.wav", 1));
  const auto refusal = [&](const Json& sources, const Json& channel) {
    auto cut = plain_cut();
    cut["recording"]["sources"] = sources, cut["channel"] = channel;
    return refused(cut);
  };
  CHECK(says(refusal(one, 4), "has 3 channels, and none of its sources has channel 4"));
  for (const auto& channel : {Json("3"), Json(nullptr), Json::array({3, 5}), Json(3.5)})
    CHECK(says(refusal(one, channel), "expected the number of one"));
  CHECK(says(refusal(Json::array({source("a.wav", {"left", "right"})}), 0), "which is not a channel"));
}

TEST_CASE("lhotse: what would have to be computed is refused, and what is wrong told") {
  for (const auto* type : {"MixedCut", "MultiCut", "PaddingCut"})
    CHECK(says(refused_with("/type", type), "only a MonoCut is read"));
  CHECK(says(refused_with("/recording/transforms", {{{"name", "Speed"}}}), "'transforms', which are not computed"));
  CHECK(says(refused_with("/recording", nullptr), "no 'recording'"));
  CHECK(says(refused_with("/recording/sources", Json::array()), "no list of 'sources'"));
  CHECK(says(refused_with("/recording/sources", {1}), "no list of 'sources'"));
  for (const auto* type : {"command", "url", "memory"})
    CHECK(says(refused_with("/recording/sources/0/type", type), "files and Shar archives are read"));
  CHECK(says(refused_with("/recording/sources/0/source", 3), "'source'; expected a string"));
  for (const auto& time : {Json(-1), Json("1"), Json::array(), Json(true)}) {
    CHECK(says(refused_with("/start", time), "'start' of the cut is not a time"));
    CHECK(says(refused_with("/duration", time), "'duration' of the cut is not a time"));
  }
  CHECK(says(refused_with("/duration", 0), "'duration' of the cut is not a time"));
  CHECK(says(refused_with("/supervisions", Json::array()), "no supervisions"));
  CHECK(says(refused_with("/supervisions", {1}), "not an object"));
  CHECK(says(refused_with("/supervisions/0/text", nullptr), "'text'; expected a string"));
  CHECK(says(refused_with("/custom", 3), "'custom' is not an object"));
  CHECK(says(refused_with("/custom", {{"answer", 3}}), "'answer'; expected a string"));
}
