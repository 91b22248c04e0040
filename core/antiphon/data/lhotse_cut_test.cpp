// Lhotse's cuts as samples.
#include <antiphon/base/error.h>
#include <antiphon/data/test_records.h>
#include <antiphon/media/audio/wav_file.h>
#include <antiphon/media/decode.h>
#include <antiphon/weights/test_folder.h>

#include <fmt/format.h>
#include <catch2/catch_test_macros.hpp>
#include <nlohmann/json.hpp>

#include <cmath>

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

constexpr int64_t kRate = 8000;

// Samples that tell where they are from: 0.01, 0.02, …, those of another `from` on.
Audio ramp(int64_t samples, int from) {
  Audio audio{kRate, {}};
  for (int64_t i = 0; i < samples; ++i) audio.samples.push_back(static_cast<float>(from + i) / 4096);
  return audio;
}

// {"cut", "type", "offset"} of a piece of NAME.wav, which has 80 samples.
Json track(const std::string& name, double start, double duration, double offset, const Json& more = Json::object()) {
  Json cut{{"id", name}, {"start", start}, {"duration", duration}, {"channel", 0}, {"type", "MonoCut"}};
  cut["supervisions"] = Json::array({{{"id", "s"}, {"start", 0.0}, {"duration", duration}, {"text", name}}});
  cut["recording"] = {{"id", name}, {"sampling_rate", kRate}, {"num_samples", 80}, {"duration", 0.01}};
  cut["recording"]["sources"] =
      Json::array({{{"type", "file"}, {"channels", Json::array({0})}, {"source", name + ".wav"}}});
  Json out{{"cut", cut}, {"type", "MonoCut"}, {"offset", offset}};
  out.update(more);
  return out;
}

Json silence(double duration, double offset) {
  return {{"cut", {{"id", "p"}, {"duration", duration}, {"sampling_rate", kRate}, {"feat_value", -23.0}}},
          {"type", "PaddingCut"},
          {"offset", offset}};
}

Json mixed_cut(std::vector<Json> tracks) { return {{"id", "m"}, {"tracks", tracks}, {"type", "MixedCut"}}; }

// Files a.wav and b.wav, of 80 samples each, and what becomes of cuts of them.
struct Heard {
  weights::TestFolder folder;
  Heard() {
    folder.write("a.wav", media::float_wav_file(ramp(80, 0)));
    folder.write("b.wav", media::float_wav_file(ramp(80, 1000)));
  }
  Sample sample(const Json& cut) const {
    return RecordReader(source_of({}), 1).read({cut.dump(), 1, {}}, folder.path());
  }
  std::vector<float> samples(const Json& cut) const {
    const auto bytes = sample(cut).media.at(0).bytes;
    return media::decode_audio(bytes.read(1 << 20), kRate, bytes.extension()).samples;
  }
};

std::vector<float> piece(const Audio& audio, int64_t begin, int64_t count) {
  return {audio.samples.begin() + begin, audio.samples.begin() + begin + count};
}

std::vector<float> joined(std::vector<std::vector<float>> parts) {
  std::vector<float> out;
  for (const auto& part : parts) out.insert(out.end(), part.begin(), part.end());
  return out;
}

}  // namespace

TEST_CASE("lhotse: a MixedCut of cuts one after the other, with silence") {
  const Heard heard;
  const auto cut = mixed_cut({track("b", 0.0, 0.005, 0.005), silence(0.0025, 0.01), track("a", 0.0025, 0.005, 0.0)});
  const auto sample = heard.sample(cut);
  CHECK((sample.id == "m" && sample.media.size() == 1 && sample.media[0].bytes.name() == "m.wav"));
  CHECK(sample.turns.at(1).parts.at(0).text == "a b");
  CHECK(sample.unread.empty());
  CHECK(heard.samples(cut) ==
        joined({piece(ramp(80, 0), 20, 40), piece(ramp(80, 1000), 0, 40), std::vector<float>(20)}));
}

TEST_CASE("lhotse: tracks over each other, at their signal-to-noise ratio") {
  const Heard heard;
  const auto a = ramp(80, 0).samples, b = ramp(80, 1000).samples;
  const auto energy = [](const std::vector<float>& samples) {
    double sum = 0;
    for (const float one : samples) sum += static_cast<double>(one) * one;
    return sum / static_cast<double>(samples.size());
  };
  const auto expect = [&](const std::vector<Json>& tracks, double gain_a, double gain_b) {
    const auto found = heard.samples(mixed_cut(tracks));
    REQUIRE(found.size() == 80);
    for (size_t i = 0; i < 80; ++i) CHECK(std::abs(found[i] - (gain_a * a[i] + gain_b * b[i])) < 1e-6);
  };
  const double to_a = std::sqrt(energy(a) / energy(b)), to_b = 1 / to_a;
  expect({track("a", 0, 0.01, 0), track("b", 0, 0.01, 0)}, 1, 1);
  expect({track("a", 0, 0.01, 0), track("b", 0, 0.01, 0, {{"snr", 20}})}, 1, 0.1 * to_a);
  expect({track("a", 0, 0.01, 0, {{"snr", 20}}), track("b", 0, 0.01, 0)}, 0.1 * to_b, 1);
  expect({track("a", 0, 0.01, 0, {{"is_snr_reference", true}, {"snr", 6}}), track("b", 0, 0.01, 0)}, 1, 1);
  expect({track("a", 0, 0.01, 0, {{"mute", true}}), track("b", 0, 0.01, 0, {{"snr", 20}})}, 0, 0.1 * to_a);
  expect({track("a", 0, 0.01, 0, {{"mute", true}}), track("b", 0, 0.01, 0, {{"mute", true}})}, 1, 1);
}

TEST_CASE("lhotse: what is said in a mixture, and its custom") {
  const Heard heard;
  auto first = track("a", 0, 0.01, 0, {{"mute", true}}), second = track("b", 0, 0.01, 0);
  second["cut"]["custom"] = {{"context", "Who?"}, {"lang", "en"}};
  const auto sample = heard.sample(mixed_cut({silence(0.01, 0), first, second}));
  CHECK((sample.turns[0].parts.at(1).text == "Who?" && sample.turns[1].parts.at(0).text == "b"));
  CHECK(sample.tags.at("lang") == "en");
  first["cut"]["other"] = 3, second["weight"] = 2;
  CHECK(heard.sample(mixed_cut({first, second})).unread ==
        std::set<std::string>{"tracks: cut: other", "tracks: weight"});
}

TEST_CASE("lhotse: a MultiCut is the sum of its channels") {
  const Heard heard;
  auto cut = track("a", 0.0025, 0.005, 0)["cut"];
  cut["type"] = "MultiCut", cut["channel"] = {0, 1};
  cut["recording"]["channel_ids"] = {0, 1};
  cut["recording"]["sources"].push_back({{"type", "file"}, {"channels", Json::array({1})}, {"source", "b.wav"}});
  auto sum = piece(ramp(80, 0), 20, 40);
  for (size_t i = 0; i < 40; ++i) sum[i] += ramp(80, 1000).samples[20 + i];
  CHECK(heard.samples(cut) == sum);
  cut["channel"] = Json::array({1});
  const auto one = heard.sample(cut).media.at(0);
  CHECK((one.bytes.file().filename() == "b.wav" && one.channel == 0 && one.begin == 0.0025 && one.seconds == 0.005));
  cut["channel"] = {0, 2};
  CHECK(says(refused(cut), "none of its sources has channel 2"));
  cut["channel"] = Json::array();
  CHECK(says(refused(cut), "the MultiCut names no 'channel'"));
}

TEST_CASE("lhotse: mixtures that are not read say why") {
  const auto a = track("a", 0, 0.01, 0);
  const auto with = [&](const char* pointer, const Json& value) {
    auto cut = mixed_cut({a, a});
    cut[Json::json_pointer(pointer)] = value;
    return refused(cut);
  };
  CHECK(says(with("/tracks", Json::array()), "no list 'tracks'"));
  CHECK(says(with("/tracks", std::vector<Json>(257, a)), "has 257 tracks; at most 256"));
  CHECK(says(with("/transforms", {{{"name", "Speed"}}}), "has 'transforms', which is not computed"));
  CHECK(says(with("/snr_reference", a), "has 'snr_reference', which is not computed"));
  CHECK(says(with("/tracks/1/type", "MixedCut"), "a track is of the type MixedCut"));
  CHECK(says(with("/tracks/1/offset", -1), "'offset' of the cut is not a time"));
  CHECK(says(with("/tracks/1/snr", "x"), "expected decibels"));
  CHECK(says(with("/tracks/1/mute", 1), "neither true nor false"));
  CHECK(says(with("/tracks/1/cut/recording/sampling_rate", 16000), "sampling rates of 8000 and 16000 Hz"));
  CHECK(says(with("/tracks/0/cut/recording/sampling_rate", nullptr), "'sampling_rate' is null"));
  CHECK(says(with("/tracks/1/cut/duration", 1e9), "at most 1800 s are mixed"));
  CHECK(
      says(with("/tracks/1/cut/recording/transforms", {{{"name", "Speed"}}}), "'transforms', which are not computed"));
  CHECK(says(refused(mixed_cut({silence(1, 0)})), "are silence: there is nothing to learn"));
  const auto noise = track("a", 0, 0.01, 0, {{"snr", 5}});
  CHECK(says(refused(mixed_cut({noise, noise})), "none says that it is the reference"));
  const Heard heard;
  try {
    heard.samples(mixed_cut({track("a", 0, 0.05, 0), a}));
    FAIL("the recording is shorter");
  } catch (const Error& error) {
    CHECK(says(error.message(), "is to have 400"));
  }
  CHECK(heard.samples(mixed_cut({track("a", 0, 0.0105, 0)})).back() == ramp(80, 0).samples[75]);
}

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
  CHECK(says(refused_with("/type", "VideoCut"), "of the type VideoCut; MonoCut, MultiCut and MixedCut are read"));
  CHECK(says(refused_with("/type", 3), "of the type 3"));
  CHECK(says(refused_with("/type", "PaddingCut"), "silence, of which there is nothing to learn"));
  CHECK(
      says(refused({{"id", "p"}, {"duration", 1.0}, {"sampling_rate", 16000}, {"type", "PaddingCut"}}), "silence, of"));
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
