// A video in a sample becomes frames and sound in the right order, each of which is what the decoder gives.
#include <antiphon/base/error.h>
#include <antiphon/base/log.h>
#include <antiphon/data/prepare.h>
#include <antiphon/data/test_prompts.h>
#include <antiphon/data/test_records.h>
#include <antiphon/media/decode.h>
#include <antiphon/model/test_model.h>

#include <fmt/format.h>
#include <unistd.h>
#include <catch2/catch_test_macros.hpp>

using namespace antiphon;
using namespace antiphon::data;

namespace {

const bool quiet_videos = (log::set_level(log::Level::error), true);
const std::filesystem::path kVideoFolder = std::string(ANTIPHON_SOURCE_DIR) + "/tests/media";

Sample question(const std::string& video) {
  return testing::parse_sample(R"({"id": "v", "messages": [{"role": "user", "content": [{"type": "text", "text": "see"},
      {"type": "video", "video": ")" +
                                   video + R"("}, {"type": "text", "text": "what?"}]},
      {"role": "assistant", "content": "grey"}]})",
                               kVideoFolder);
}

// "t" text, "i" a frame, "a" sound.
std::string kinds(const Sample& sample) {
  std::string out;
  for (const auto& part : sample.turns.front().parts)
    out += part.media < 0 ? 't' : to_string(sample.media.at(static_cast<size_t>(part.media)).modality)[0];
  return out;
}

Sample expanded(const std::string& video, const VideoSampling& sampling, bool hears = true) {
  const auto model = model::testing::test_model(hears ? model::testing::kTwoStreams : R"(llm = { plugin = "test_lm" }
                 streams.image = { encoder = { plugin = "test_pixels" }, connector = { plugin = "test_linear" } })",
                                                false);
  return expand_videos(question(video), sampling, {}, *model, {});
}

// The first frame of a video and the one in its middle, each after a text, and a text after both.
class Halves : public VideoRule {
 public:
  FrameChoice choose(const VideoShape& video, const VideoWish&) const override {
    return {{0, video.frames / 2}, video.height, video.width, 3};
  }
  std::vector<VideoPiece> pieces(Frames frames) const override {
    std::vector<VideoPiece> all;
    for (size_t i = 0; i < 2; ++i)
      all.push_back({fmt::format("half {}", i), {{frames.images[i]}, {frames.numbers[i]}, frames.total, 1}});
    all.push_back({"end", {}});
    return all;
  }
  PartStep part_step(const Frames&) const override { return 1; }
};

class TestClips : public model::testing::TestPixels {
 public:
  using TestPixels::TestPixels;
  const VideoRule* video() const override { return &rule_; }

 private:
  Halves rule_;
};

// Four frames as one medium, each of two vectors and four positions behind the last, in chunks with their sound.
class Film : public VideoRule {
 public:
  FrameChoice choose(const VideoShape& video, const VideoWish&) const override {
    FrameChoice choice{{}, video.height, video.width, 3};
    for (int64_t i = 0; i < 4; ++i) choice.numbers.push_back(std::min(i, video.frames - 1));
    return choice;
  }
  std::vector<VideoPiece> pieces(Frames frames) const override { return {{"", std::move(frames)}}; }
  PartStep part_step(const Frames&) const override { return 4; }
  int64_t sound_chunk() const override { return 8; }
};

class TestFilms : public model::testing::TestPixels {
 public:
  using TestPixels::TestPixels;
  const VideoRule* video() const override { return &rule_; }
  std::vector<at::Tensor> process(const MediaItem& item) const override {
    return std::vector<at::Tensor>(item.video.images.size(), at::ones({3, 1, 2}));
  }

 private:
  Film rule_;
};

// `stream`: more of that of pictures.
std::unique_ptr<model::MultimodalLm> model_of_clips(const std::string& encoder = "test_clips",
                                                    const std::string& stream = "") {
  using model::testing::EncoderOptions;
  static const config::Table<EncoderOptions> clips("test_clips"), films("test_films");
  static const bool done = [] {
    plugin::Registrar registrar(plugin::Entry{});
    register_component<Encoder, TestClips>(registrar, "test_clips", "", clips);
    register_component<Encoder, TestFilms>(registrar, "test_films", "", films);
    plugin::Registry::instance().add(registrar.entries());
    return true;
  }();
  static_cast<void>(done);
  return model::testing::test_model(fmt::format(R"(llm = {{ plugin = "test_lm", grid = true }}
    streams.image = {{ encoder = {{ plugin = "{}" }}, connector = {{ plugin = "test_linear" }}{} }}
    streams.audio = {{ encoder = {{ plugin = "test_levels" }}, connector = {{ plugin = "test_linear" }} }})",
                                                encoder, stream),
                                    false);
}

const std::string kMarks = R"(, sound_begin = "<|im_start|>", sound_end = "<|im_end|>")";

Prepared prepared(const model::MultimodalLm& model, const VideoSampling& sampling, const std::string& video) {
  const auto prompts = testing::tiny_prompts();
  const FeatureCache cache("", {});
  return Preparer(model, prompts, cache, {}, 20000, sampling).prepare(question(video), Purpose::training);
}

}  // namespace

TEST_CASE("pieces of a video stand after their texts, among the sound or before it, and the last text after them") {
  const auto model = model_of_clips();
  const auto apart = expand_videos(question("clip.mp4"), {}, {}, *model, {}),
             among = expand_videos(question("clip.mp4"), {.interleave = true}, {}, *model, {});
  CHECK(kinds(apart) == "ttvtvtat");
  CHECK(kinds(among) == "ttvatvtat");
  for (const auto* sample : {&apart, &among}) {
    std::string added;
    for (const auto& part : sample->turns.front().parts)
      if (part.added) added += part.text + ";";
    CHECK(added == "half 0;half 1;end;");
  }
}

TEST_CASE("a sound that stands among a video's embeddings has no place of its own in the text") {
  const auto model = model_of_clips("test_films", kMarks);
  const auto among = expand_videos(question("clip.mp4"), {.interleave = true}, {}, *model, {});
  CHECK(kinds(among) == "tvt");
  REQUIRE(among.media.size() == 2);
  CHECK(among.turns.front().parts[1].sound == 1);
  CHECK(among.media[1].modality == Modality::audio);
  for (const auto& [video, sampling] : std::vector<std::pair<const char*, VideoSampling>>{
           {"clip.mp4", {}}, {"clip.mp4", {.sound = false, .interleave = true}}, {"first.gif", {.interleave = true}}}) {
    const auto apart = expand_videos(question(video), sampling, {}, *model, {});
    for (const auto& part : apart.turns.front().parts) CHECK(part.sound == -1);
  }
}

TEST_CASE("each token of a video with its sound is an embedding of one of both, or a mark around them") {
  const auto model = model_of_clips("test_films", kMarks);
  const auto sample = prepared(*model, {.interleave = true}, "clip.mp4");
  REQUIRE(sample.media.size() == 2);
  const auto &video = sample.media[0], &sound = sample.media[1];
  CHECK((!video.within && sound.within && video.stream == "image" && sound.stream == "audio"));
  CHECK((video.position == sound.position && video.item.tokens == sound.item.tokens));
  CHECK(video.item.embeddings() == 8);
  CHECK(video.item.own_tokens() == 10);
  CHECK(sound.item.own_tokens() == sound.item.embeddings());
  CHECK(video.item.tokens == video.item.own_tokens() + sound.item.own_tokens());
  const auto length = static_cast<size_t>(video.item.tokens), begin = static_cast<size_t>(video.position);
  const auto prompts = testing::tiny_prompts();
  const auto& tokenizer = prompts.tokenizer();
  CHECK(sample.ids[begin] == *tokenizer.id_of("<|im_start|>"));
  CHECK(sample.ids[begin + length - 1] == *tokenizer.id_of("<|im_end|>"));
  for (size_t i = 1; i + 1 < length; ++i) {
    CHECK((video.item.ids[i] == -1) != (sound.item.ids[i] == -1));
    CHECK(sample.ids[begin + i] == 0);
  }
  CHECK(sample.positions_at.select(1, video.position).equal(sample.positions_at.select(1, video.position - 1)));
  CHECK(video.part_contents == sound.part_contents);
  CHECK(video.part_contents == std::vector{video.content + " with " + sound.content});
}

TEST_CASE("a video with its sound wants tokens around both") {
  const auto refusal = [](const std::string& stream) {
    try {
      prepared(*model_of_clips("test_films", stream), {.interleave = true}, "clip.mp4");
    } catch (const Error& error) {
      return error.message();
    }
    return std::string();
  };
  CHECK(refusal("").find("has no sound_begin") != std::string::npos);
  CHECK(refusal(R"(, sound_begin = "<|im_start|>", sound_end = "no token")").find("sound_end = 'no token'") !=
        std::string::npos);
  CHECK(refusal(kMarks + R"(, part_end = "x")").find("cannot stand among") != std::string::npos);
}

TEST_CASE("frames come first and sound last, or both in the order of time") {
  CHECK(kinds(expanded("clip.mp4", {.frames = 3})) == "tiiiat");
  CHECK(kinds(expanded("clip.mp4", {.frames = 3, .interleave = true})) == "taiaiaiat");
  CHECK(kinds(expanded("clip.mp4", {.frames_per_second = 4})) == "tiiiiat");
  CHECK(kinds(expanded("clip.mp4", {.frames_per_second = 4, .interleave = true})) == "tiaiaiaiat");
  CHECK(kinds(expanded("clip.mp4", {.frames = 2, .sound = false})) == "tiit");
  CHECK(kinds(expanded("clip.mp4", {.frames = 2}, false)) == "tiit");  // the model hears nothing
  CHECK(kinds(expanded("first.gif", {.frames = 2})) == "tiit");        // the file has no sound
}

TEST_CASE("what comes out is what the decoder gives; sound in pieces is the whole") {
  const auto video = media::load_video(kVideoFolder / "clip.mp4", {.frames = 3, .sample_rate = 16000});
  const auto sample = expanded("clip.mp4", {.frames = 3, .interleave = true});
  std::vector<float> sound;
  std::vector<std::vector<uint8_t>> frames, wanted;
  for (const auto& ref : sample.media) {
    CHECK(ref.origin == kVideoFolder / "clip.mp4");
    if (ref.modality == Modality::image)
      frames.push_back(ref.item->image.rgb);
    else
      sound.insert(sound.end(), ref.item->audio.samples.begin(), ref.item->audio.samples.end());
  }
  for (const auto& frame : video.frames) wanted.push_back(frame.image.rgb);
  CHECK(frames == wanted);
  CHECK(sound == video.audio->samples);
}

TEST_CASE("the same frame has the same content, another sampling another one") {
  const auto contents = [](const VideoSampling& sampling) {
    std::vector<std::string> out;
    for (const auto& ref : expanded("clip.mp4", sampling).media) out.push_back(ref.content);
    return out;
  };
  CHECK(contents({.frames = 3}) == contents({.frames = 3}));
  const auto three = contents({.frames = 3});
  for (const auto& content : contents({.frames = 4})) CHECK(std::ranges::find(three, content) == three.end());
  CHECK(std::ranges::find(three, contents({.frames = 3, .interleave = true})[0]) == three.end());
}

TEST_CASE("a video that several samples have is read once") {
  const auto model = model::testing::test_model(model::testing::kTwoStreams, false);
  const auto copy = std::filesystem::temp_directory_path() / fmt::format("antiphon-video-{}.mp4", ::getpid());
  std::filesystem::copy_file(kVideoFolder / "clip.mp4", copy);
  auto sample = question("clip.mp4");
  sample.media[0].bytes = copy;
  Expansions known;
  const auto first = expand_videos(sample, {.frames = 3}, {}, *model, {}, &known);
  std::filesystem::remove(copy);
  const auto second = expand_videos(sample, {.frames = 3}, {}, *model, {}, &known);
  REQUIRE(second.media.size() == first.media.size());
  for (size_t i = 0; i < first.media.size(); ++i) CHECK(first.media[i].item == second.media[i].item);
  CHECK_THROWS_AS(expand_videos(sample, {.frames = 3}, {}, *model, {}), Error);
}

TEST_CASE("a sample with a video is prepared like one with its frames and sound") {
  const auto model = model::testing::test_model(model::testing::kTwoStreams);
  const auto prompts = testing::tiny_prompts();
  const FeatureCache cache("", {});
  const Preparer preparer(*model, prompts, cache, {}, 20000, {.frames = 2, .interleave = true});
  const auto prepared = preparer.prepare(question("clip.mp4"), Purpose::training);
  REQUIRE(prepared.media.size() == 5);
  CHECK(prepared.media[1].stream == "image");
  CHECK(prepared.media[1].item.tokens == 24 * 32);
  CHECK(prepared.supervised_count() > 0);
  CHECK(prepared.media[0].position < prepared.media[1].position);
}

TEST_CASE("a video that cannot be read, or that a model without pictures is given, is named") {
  CHECK_THROWS_AS(expanded("tone.wav", {}), Error);
  CHECK_THROWS_AS(expanded("nowhere.mp4", {}), Error);
  const auto model = model::testing::test_model(R"(llm = { plugin = "test_lm" })");
  const auto prompts = testing::tiny_prompts();
  const FeatureCache cache("", {});
  const Preparer preparer(*model, prompts, cache, {}, 20000);
  try {
    preparer.prepare(question("clip.mp4"), Purpose::training);
    FAIL("it was taken");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::data);
    CHECK(error.message().find("image") != std::string::npos);
  }
}
