// One channel of a sound, or the mean of all.
#include <antiphon/media/audio/test_channels.h>
#include <antiphon/media/decode.h>
#include <antiphon/media/media_test.h>

using namespace antiphon;
using namespace antiphon::media;

TEST_CASE("a channel is what a file of that channel alone is, to the bit") {
  std::vector<Audio> channels(3, Audio{16000, {}});
  for (size_t c = 0; c < channels.size(); ++c)
    for (size_t i = 0; i < 800; ++i)
      channels[c].samples.push_back(static_cast<float>((i * (7 + c)) % 101) / 101 - 0.3F * static_cast<float>(c));
  const auto together = testing::wav_of_channels(channels);
  for (const int64_t rate : {16000, 11025}) {
    const auto mean = decode_audio(together, rate).samples;
    for (size_t c = 0; c < channels.size(); ++c) {
      const auto own = decode_audio(together, rate, "", {}, static_cast<int64_t>(c)).samples;
      CHECK(own == decode_audio(wav_file(channels[c]), rate).samples);
      CHECK(own != mean);
    }
  }
  for (const int64_t none : {3, -1, 100})
    CHECK(says(refusal([&] { decode_audio(together, 16000, "", {}, none); }),
               "of the sound was asked for, counted from 0; it has 3"));
}

TEST_CASE("files of every format have channel 0, and those of one channel no other") {
  for (const char* name : {"tone.wav", "tone.flac", "tone.ogg", "tone.mp3", "tone.m4a", "tone.g722"}) {
    INFO(name);
    const auto decoded = [&](std::optional<int64_t> channel) {
      return decode_audio(fixture(name), 16000, std::string_view(name).substr(4), {}, channel).samples;
    };
    CHECK(decoded(0) == decoded({}));
    CHECK(says(refusal([&] { decoded(1); }), "it has 1"));
  }
  for (const char* name : {"clip.mp4", "clip.webm", "clip.mpg"}) {
    INFO(name);
    const auto heard = [&](std::optional<int64_t> channel) {
      return decode_video(fixture(name), {.frames = 1, .sample_rate = 16000, .channel = channel}).audio->samples;
    };
    CHECK(heard(0).size() == heard({}).size());
    CHECK(says(refusal([&] { heard(7); }), "channel 7 of the sound"));
  }
}
