#include <antiphon/session/save.h>

#include <antiphon/base/error.h>
#include <antiphon/media/audio/wav_file.h>
#include <antiphon/weights/test_folder.h>

#include <catch2/catch_test_macros.hpp>
#include <nlohmann/json.hpp>

using namespace antiphon;
using nlohmann::json;

TEST_CASE("save: a conversation is one line of messages, and what was recorded lies beside it") {
  const weights::TestFolder folder;
  const auto recorded = std::make_shared<MediaItem>();
  recorded->modality = Modality::audio, recorded->audio = {16000, {0.25F, -0.5F}};
  Sample sample;
  sample.id = "talk";
  sample.media.push_back({Modality::image, "/d/cat.png"});
  for (int i = 0; i < 2; ++i) {
    sample.media.push_back({Modality::image, "/d/clip.mp4"});
    sample.media.back().item = std::make_shared<MediaItem>(), sample.media.back().origin = "/d/clip.mp4";
  }
  sample.media.push_back({Modality::audio, "microphone"});
  sample.media.back().item = recorded;
  sample.turns = {{"user", {{"", 0}, {"A frame: ", -1, true}, {"", 1}, {"", 2}, {"What?"}}},
                  {"assistant", {{"A cat."}}},
                  {"user", {{"", 2}, {"", 3}}}};
  sample.turns[1].label = "quality:4";
  session::save_conversation(sample, folder / "talk.jsonl");

  const auto part = [](const char* type, const std::string& said) { return json{{"type", type}, {type, said}}; };
  const auto video = part("video", "/d/clip.mp4"), sound = part("audio", folder / "talk.jsonl.sound-1.wav");
  const auto turn = [](const char* role, const json& content) { return json{{"role", role}, {"content", content}}; };
  json expected{
      {"id", "talk"},
      {"messages", json::array({turn("user", json::array({part("image", "/d/cat.png"), video, part("text", "What?")})),
                                turn("assistant", json::array({part("text", "A cat.")})),
                                turn("user", json::array({video, sound}))})}};
  expected["messages"][1]["label"] = "quality:4";
  const auto line = folder.read("talk.jsonl");
  CHECK(line.find('\n') == line.size() - 1);
  CHECK(json::parse(line) == expected);
  CHECK(folder.read("talk.jsonl.sound-1.wav") == media::wav_file(recorded->audio));
  CHECK(folder.count() == 2);
}

TEST_CASE("save: a file that cannot be written is an error of the data") {
  const weights::TestFolder folder;
  const auto refused = [](const Sample& conversation, const std::filesystem::path& file) -> std::string {
    try {
      session::save_conversation(conversation, file);
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::data);
      return error.message();
    }
    return "no error";
  };
  CHECK(refused({}, folder / "missing/talk.jsonl").find("talk.jsonl") != std::string::npos);
  Sample named;
  named.media.push_back({Modality::image, "/d/\xff.png"});
  named.turns = {{"user", {{"", 0}}}};
  CHECK(refused(named, folder / "talk.jsonl") == "the path /d/\\xff.png is not UTF-8, and JSON holds nothing else");
  CHECK(folder.count() == 0);
}
