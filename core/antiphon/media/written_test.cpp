// Files that are written are read again as what they were.
#include <antiphon/media/audio/wav_file.h>
#include <antiphon/media/decode.h>
#include <antiphon/media/image/png_file.h>
#include <antiphon/media/media_test.h>

using namespace antiphon;
using namespace antiphon::media;

TEST_CASE("a picture written as PNG") {
  for (const auto& [height, width] : {std::pair<int64_t, int64_t>{1, 1}, {3, 7}, {200, 150}}) {
    Image image{height, width, std::vector<uint8_t>(static_cast<size_t>(3 * height * width))};
    for (size_t i = 0; i < image.rgb.size(); ++i) image.rgb[i] = static_cast<uint8_t>(i * 37 + i / 256);
    const auto again = decode_image(png_file(image));
    CHECK((again.height == height && again.width == width));
    CHECK(again.rgb == image.rgb);
  }
}

TEST_CASE("a sound written as WAV") {
  Audio audio{16000, {}};
  for (int i = -320; i < 320; ++i) audio.samples.push_back(static_cast<float>(i) / 250);
  const auto again = decode_audio(wav_file(audio), 16000);
  REQUIRE(again.samples.size() == audio.samples.size());
  for (size_t i = 0; i < again.samples.size(); ++i)
    CHECK(std::abs(again.samples[i] - std::clamp(audio.samples[i], -1.0F, 1.0F)) < 6e-5F);
}

TEST_CASE("a sound written as floating-point WAV is as it was, however loud") {
  Audio audio{44100, {}};
  for (int i = -700; i < 700; ++i) audio.samples.push_back(static_cast<float>(i) / 333);
  CHECK(decode_audio(float_wav_file(audio), 44100).samples == audio.samples);
}
