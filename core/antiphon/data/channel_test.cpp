// Which channel of a sound a sample gets, and that its features are kept apart from those of the others.
#include <antiphon/data/test_loader.h>
#include <antiphon/media/audio/test_channels.h>
#include <antiphon/media/decode.h>

#include <fstream>

#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>

using namespace antiphon;
using namespace antiphon::data;
using namespace antiphon::data::testing;

namespace {

// What a preparer makes of a file of two channels, 0.25 and -0.5 everywhere.
class Stereo {
 public:
  Stereo() : cache_(setup_.folder / "features", {{"audio", "settings"}}) {
    const auto rate = setup_.model->stream_for(Modality::audio).sample_rate();
    using media::testing::level;
    setup_.folder.write("two.wav",
                        media::testing::wav_of_channels({level(rate, 8000, 0.25F), level(rate, 8000, -0.5F)}));
  }
  struct Read {
    std::string content, key;
    double level = 0, seconds = 0;
  };
  Read read(const config::Value& option, std::optional<int64_t> named = {}, double seconds = INFINITY) {
    SoundReading sound;
    sound.channel = option;
    const Preparer preparer(*setup_.model, setup_.prompts, cache_, {}, 200, {}, {}, sound);
    MediaRef ref{Modality::audio, setup_.folder / "two.wav"};
    ref.channel = named, ref.seconds = seconds;
    Read read;
    const auto media = preparer.read(ref, "s", [&](const MediaRef&, const MediaItem& item) {
      read.level = item.audio.samples.at(item.audio.samples.size() / 2);
    });
    read.content = media.content, read.key = media.cache_key, read.seconds = media.seconds;
    return read;
  }

 private:
  Setup setup_;
  FeatureCache cache_;
};

}  // namespace

TEST_CASE("channels: the mean, the one that data.audio names, or first of all the record's") {
  if (media::backend_version().starts_with("off")) SKIP("built without FFmpeg");
  using Catch::Approx;
  Stereo stereo;
  CHECK(stereo.read("mean").level == Approx(-0.125).epsilon(1e-3));
  CHECK(stereo.read(int64_t{0}).level == Approx(0.25).epsilon(1e-3));
  CHECK(stereo.read(int64_t{1}).level == Approx(-0.5).epsilon(1e-3));
  CHECK(stereo.read("mean", 1).level == Approx(-0.5).epsilon(1e-3));
  CHECK(stereo.read(int64_t{1}, 0).level == Approx(0.25).epsilon(1e-3));
  const auto piece = stereo.read(int64_t{1}, {}, 0.125);
  CHECK((piece.level == Approx(-0.5).epsilon(1e-3) && piece.seconds == 0.125));
}

TEST_CASE("channels: each is content of its own, pieces too") {
  if (media::backend_version().starts_with("off")) SKIP("built without FFmpeg");
  Stereo stereo;
  std::set<std::string> contents, keys;
  for (const auto& option : {config::Value("mean"), config::Value(int64_t{0}), config::Value(int64_t{1})})
    for (const double seconds : {double{INFINITY}, 0.125}) {
      const auto read = stereo.read(option, {}, seconds);
      contents.insert(read.content), keys.insert(read.key);
    }
  CHECK((contents.size() == 6 && keys.size() == 6 && !keys.contains("")));
  CHECK(stereo.read("mean", 1).key == stereo.read(int64_t{1}).key);
  CHECK(stereo.read(int64_t{0}, 1).content == stereo.read(int64_t{1}).content);
}

TEST_CASE("channels: the option is a number or \"mean\"") {
  const auto problems = [](config::Value channel) {
    DataOptions options;
    options.audio.channel = std::move(channel);
    config::Problems found;
    check_data(options, found);
    return found.size();
  };
  for (const auto& good : {config::Value("mean"), config::Value(int64_t{0}), config::Value(int64_t{7})})
    CHECK(problems(good) == 0);
  for (const auto& bad : {config::Value("left"), config::Value(int64_t{-1}), config::Value(int64_t{8}),
                          config::Value(0.5), config::Value(true)})
    CHECK(problems(bad) == 1);
}
