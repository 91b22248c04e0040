// Decoding of the files in tests/media; tests/parity/media_parity.py compares values with other libraries.
#include <array>
#include <cmath>
#include <numbers>

#include <fmt/format.h>

#include <antiphon/media/audio/sound_length.h>
#include <antiphon/media/decode.h>
#include <antiphon/media/image/resize.h>
#include <antiphon/media/media_test.h>

using namespace antiphon;
using namespace antiphon::media;

namespace {

std::array<int, 3> pixel(const Image& image, int64_t y, int64_t x) {
  const uint8_t* rgb = image.rgb.data() + (y * image.width + x) * 3;
  return {rgb[0], rgb[1], rgb[2]};
}

// How much of the audio is a sine of 500 Hz of amplitude 0.5 (1: all of it), at whatever phase.
double tone_share(const Audio& audio) {
  double sine = 0, cosine = 0;
  const auto rate = static_cast<double>(audio.sample_rate);
  for (size_t i = 0; i < audio.samples.size(); ++i) {
    sine += audio.samples[i] * std::sin(2 * std::numbers::pi * 500 * static_cast<double>(i) / rate);
    cosine += audio.samples[i] * std::cos(2 * std::numbers::pi * 500 * static_cast<double>(i) / rate);
  }
  return std::hypot(sine, cosine) * 2 / static_cast<double>(audio.samples.size()) / 0.5;
}

}  // namespace

TEST_CASE("pictures of every format have their size and colours") {
  for (const char* name : {"baseline.jpg", "progressive.jpg", "lossless.webp", "first.gif"}) {
    INFO(name);
    const Image image = decode_image(fixture(name));
    CHECK(image.width == 32);
    CHECK(image.height == 24);
    REQUIRE(image.rgb.size() == 32 * 24 * 3);
    const auto [red, green, blue] = pixel(image, 12, 16);  // made as 128, 120, 127
    CHECK(std::abs(red - 128) < 24);
    CHECK(std::abs(green - 120) < 24);
    CHECK(std::abs(blue - 127) < 24);
  }
}

TEST_CASE("what is below a transparency, or white") {
  // Row 12, column 16 was made as (128, 120, 127) with alpha 156.
  const ImageReading white{.transparency = "white"};
  CHECK(pixel(decode_image(fixture("rgba.png")), 12, 16) == std::array{128, 120, 127});
  CHECK(pixel(decode_image(fixture("rgba.png"), {}, white), 12, 16) == std::array{177, 172, 177});
  CHECK(std::abs(pixel(decode_image(fixture("lossy_alpha.webp")), 12, 16)[0] - 128) < 8);
  CHECK(std::abs(pixel(decode_image(fixture("lossy_alpha.webp"), {}, white), 12, 16)[0] - 177) < 8);
}

TEST_CASE("sound of every format keeps its tone and its length") {
  for (const char* name : {"tone.wav", "tone.flac", "tone.ogg", "tone.mp3", "tone.m4a", "tone.g722"}) {
    INFO(name);
    const Audio audio = decode_audio(fixture(name), 16000, std::string_view(name).substr(4));
    CHECK(audio.sample_rate == 16000);
    CHECK(std::abs(static_cast<int64_t>(audio.samples.size()) - 8000) <= 400);
    CHECK(tone_share(audio) > 0.93);
  }
  for (const char* name : {"tone.wav", "tone.ogg", "tone.mp3", "tone.m4a"}) {  // encoder padding is cut off
    INFO(name);
    CHECK(decode_audio(fixture(name), 16000).samples.size() == 8000);
  }
  CHECK(decode_audio(fixture("tone.flac"), 22050).samples.size() == 11025);
}

TEST_CASE("what files say of the length of their sound") {
  const auto ogg = ogg_sound_length(fixture("tone.ogg"));
  REQUIRE(ogg);
  CHECK((ogg->ticks == 8000 && ogg->rate == 16000));
  CHECK(ogg->samples(48000) == 24000);
  CHECK_FALSE(ogg_sound_length(fixture("tone.ogg") + fixture("tone.ogg")));  // two files in a row
  CHECK_FALSE(ogg_sound_length(fixture("tone.wav")));
  std::string mp4 = fixture("tone.m4a");
  CHECK(mp4_sound_length(mp4, 1).value_or(SoundLength{}).ticks == 8000);
  CHECK_FALSE(mp4_sound_length(mp4, 2));
  CHECK_FALSE(mp4_sound_length(fixture("tone.ogg"), 1));
  const size_t edit = mp4.find("elst") + 12;
  mp4.replace(edit, 4, std::string_view("\0\0\0\x64", 4));  // 0.1 s
  CHECK(mp4_sound_length(mp4, 1).value_or(SoundLength{}).ticks == 1600);
  const auto apple = itunes_sound_length(" 00000000 00000840 000001CA 00000000003F31F6 00000000", 44100);
  REQUIRE(apple);
  CHECK(apple->ticks == 0x3F31F6);
  for (const char* note : {"", " 0 0 0", " 0 0 0 0", "x y z w", " 00000000 00000840 000001CA"})
    CHECK_FALSE(itunes_sound_length(note, 44100));
}

TEST_CASE("the content decides, not the name") {
  CHECK(decode_audio(fixture("tone.ogg"), 16000, "mp3").samples ==
        decode_audio(fixture("tone.ogg"), 16000, "ogg").samples);
  CHECK(decode_audio(fixture("tone.wav"), 16000, ".g722").samples == decode_audio(fixture("tone.wav"), 16000).samples);
  CHECK(says(refusal([] { decode_image(fixture("tone.wav")); }), "not a picture: unknown format"));
  CHECK(says(refusal([] { decode_audio(fixture("rgba.png"), 16000); }), "not accepted"));
  CHECK(says(refusal([] { decode_video(fixture("tone.wav"), {.frames = 1}); }), "holds no video"));
  CHECK(says(refusal([] { decode_image({}); }), "empty"));
  CHECK(says(refusal([] { decode_audio({}, 16000); }), "empty"));
}

TEST_CASE("formats that are not read are told by name, with what converts them") {
  const auto text = [](const char* mark, size_t size) { return std::string(mark, size) + std::string(200, '\0'); };
  std::string tga = text("\0\0\x0A", 3);  // packed RGB
  tga[12] = tga[14] = 3, tga[16] = 24;
  const std::pair<const char*, std::string> pictures[] = {{"HEIC", text("\0\0\0\030ftypheim", 12)},
                                                          {"HEIF", text("\0\0\0\030ftypmsf1", 12)},
                                                          {"HEIF", text("\0\0\0\030ftypmif2", 12)},
                                                          {"BigTIFF", text("II+\0", 4)},
                                                          {"BigTIFF", text("MM\0+", 4)},
                                                          {"PPM, PGM or PBM", text("P6\n3 2\n255\n", 11)},
                                                          {"ICO", text("\0\0\1\0", 4)},
                                                          {"PCX", text("\x0A\x05\1\x08", 4)},
                                                          {"QOI", text("qoif", 4)},
                                                          {"TGA", tga}};
  for (const auto& [name, bytes] : pictures) try {
      decode_image(bytes);
      FAIL(name);
    } catch (const Error& error) {
      CHECK(says(error.message(), fmt::format("pictures of the kind {} are not read: ", name)));
      CHECK(says(error.fix(), "magick 'FILE[0]' picture.png"));
    }
  tga[16] = 7;  // bits that no TGA has
  for (const std::string& bytes : {tga, text("P8\n", 3), text("P6x", 3), text("\n\n\n", 3), text("", 0)})
    CHECK(says(refusal([&] { decode_image(bytes); }), "not a picture: unknown format"));
  try {
    decode_audio(text("NIST_1A\n   1024\n", 16), 16000);
    FAIL("a SPHERE file");
  } catch (const Error& error) {
    CHECK(says(error.message(), "sounds of the kind NIST SPHERE are not read"));
    CHECK(says(error.fix(), "sph2pipe -f wav FILE sound.wav"));
  }
}

TEST_CASE("frames of a video are those on screen at the times asked for") {
  for (const char* name : {"clip.mp4", "clip.webm", "clip.mpg"}) {
    INFO(name);
    const Video video = decode_video(fixture(name), {.frames = 4, .sample_rate = 16000});
    CHECK(std::abs(video.seconds - 1.0) < 0.05);
    REQUIRE(video.frames.size() == 4);
    for (int i = 0; i < 4; ++i) {
      const double time = video.seconds * (i + 1) / 5;
      CHECK(video.frames[i].seconds <= time + 1e-6);
      CHECK(video.frames[i].seconds > time - 0.11);
      const int shade = 30 + 20 * static_cast<int>(time * 10 + 1e-6);
      CHECK(std::abs(pixel(video.frames[i].image, 12, 16)[0] - shade) <= 24);
    }
    REQUIRE(video.audio);
    CHECK(std::abs(video.audio->seconds() - 1.0) < 0.08);
    CHECK(tone_share(*video.audio) > 0.9);
  }
  const Video every = decode_video(fixture("clip.mp4"), {.frames_per_second = 5});
  CHECK(every.frames.size() == 5);
  CHECK_FALSE(every.audio);
}

TEST_CASE("frames of a video by number, of a size that is chosen by what the file has") {
  VideoShape seen;
  const auto taken = [&](const char* name, const FrameChoice& choice) {
    return decode_video(fixture(name), {.choose = [&](const VideoShape& video) {
                          seen = video;
                          return choice;
                        }});
  };
  const Video video = taken("clip.mp4", {{0, 3, 3, 9}, 12, 8, 3});
  CHECK((seen.frames == 10 && seen.per_second == 10 && seen.height == 24 && seen.width == 32));
  REQUIRE(video.frames.size() == 4);
  const Video whole = taken("clip.mp4", {{0, 3, 9}, 24, 32, 3});
  for (int i = 0; i < 3; ++i) {
    CHECK(std::abs(whole.frames[i].seconds - 0.1 * std::array{0, 3, 9}[i]) < 1e-6);
    CHECK(std::abs(pixel(whole.frames[i].image, 12, 16)[0] - (30 + 20 * std::array{0, 3, 9}[i])) <= 24);
    const Image small = resize(whole.frames[i].image, {12, 8}, Filter::bicubic);
    CHECK(video.frames[i == 0 ? 0 : i + 1].image.rgb == small.rgb);
  }
  CHECK_THROWS_AS(taken("clip.mp4", {{10}, 8, 8, 3}), Error);
  CHECK_THROWS_AS(taken("clip.mp4", {{-1}, 8, 8, 3}), Error);
  CHECK_THROWS_AS(taken("clip.mp4", {{0}, 8, 8, 9}), Error);
  CHECK(says(refusal([&] { taken("clip.mp4", {std::vector<int64_t>(769), 8, 8, 3}); }), "769 frames"));
}

TEST_CASE("one frame may be asked for more often than there are frames") {
  CHECK(decode_video(fixture("clip.mp4"), {.frames = 30}).frames.size() == 30);
  CHECK(decode_video(fixture("first.gif"), {.frames = 2}).frames.size() == 2);
}

TEST_CASE("every limit is kept and named") {
  const auto image_under = [](MediaLimits limits) {
    return refusal([&] { decode_image(fixture("baseline.jpg"), limits); });
  };
  const auto audio_under = [](MediaLimits limits) {
    return refusal([&] { decode_audio(fixture("tone.flac"), 16000, "", limits); });
  };
  const auto video_under = [](MediaLimits limits, VideoOptions options = {.frames = 3, .sample_rate = 8000}) {
    return refusal([&] { decode_video(fixture("clip.mp4"), options, limits); });
  };
  CHECK(says(image_under({.pixels = 700}), "32 x 24"));
  CHECK(says(image_under({.side = 31}), "32 x 24"));
  CHECK(says(image_under({.file_bytes = 100}), "100 are accepted"));
  CHECK(says(audio_under({.file_bytes = 100}), "100 are accepted"));
  CHECK(says(audio_under({.audio_seconds = 0.4}), "longer than the 0.4 s"));
  CHECK(says(audio_under({.channels = 0}), "channels"));
  CHECK(says(audio_under({.wall_seconds = 0}), "took longer"));
  CHECK(says(video_under({.video_seconds = 0.5}), "lasts 1.0 s"));
  CHECK(says(video_under({.video_bytes = 5000}), "5000 bytes"));
  CHECK(says(video_under({.streams = 1}), "2 streams"));
  CHECK(says(video_under({.pixels = 700}), "32 x 24"));
  CHECK(says(video_under({.frames = 2}, {.frames_per_second = 10}), "10 frames"));
  CHECK(says(video_under({.wall_seconds = 0}), "took longer"));
  CHECK_THROWS_AS(decode_video(fixture("clip.mp4"), {}), Error);
  CHECK_THROWS_AS(decode_video(fixture("clip.mp4"), {.frames = 769}), Error);
  CHECK_THROWS_AS(decode_audio(fixture("tone.wav"), 0), Error);
}

TEST_CASE("loading names the file") {
  const std::string folder = std::string(ANTIPHON_SOURCE_DIR) + "/tests/media/";
  CHECK(load_image(folder + "rgba.png").width == 32);
  CHECK(load_audio(folder + "tone.g722", 16000).samples.size() == 8000);
  CHECK(load_video(folder + "clip.mp4", {.frames = 2}).frames.size() == 2);
  try {
    load_image(folder + "tone.wav");
    FAIL("a sound was taken for a picture");
  } catch (const Error& error) {
    CHECK(says(error.what(), "tone.wav"));
  }
}
