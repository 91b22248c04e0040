// Media changed at random: by the formulas, alike for one seed, and in training alone.
#include <antiphon/base/files.h>
#include <antiphon/data/augment/changes.h>
#include <antiphon/data/test_loader.h>
#include <antiphon/media/audio/speed.h>
#include <antiphon/media/decode.h>
#include <antiphon/media/image/colour.h>
#include <antiphon/media/image/resize.h>

#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>

#include <cmath>
#include <map>

using namespace antiphon;
using namespace antiphon::data;
using namespace antiphon::data::testing;

namespace {

Audio sine(int64_t samples, double amplitude, double frequency = 440) {
  Audio audio{16000, std::vector<float>(static_cast<size_t>(samples))};
  for (int64_t i = 0; i < samples; ++i)
    audio.samples[static_cast<size_t>(i)] =
        static_cast<float>(amplitude * std::sin(2 * M_PI * frequency * static_cast<double>(i) / 16000));
  return audio;
}

double power(const std::vector<float>& samples) {
  double sum = 0;
  for (const float x : samples) sum += static_cast<double>(x) * static_cast<double>(x);
  return sum / static_cast<double>(samples.size());
}

Image gradient(int64_t height, int64_t width) {
  Image image{height, width, std::vector<uint8_t>(static_cast<size_t>(height * width * 3))};
  for (size_t i = 0; i < image.rgb.size(); ++i) image.rgb[i] = static_cast<uint8_t>(i * 37 % 256);
  return image;
}

bool has_media() { return !media::backend_version().starts_with("off"); }

AugmentOptions all_changes(const std::string& noise) {
  AugmentOptions o;
  o.speed.probability = o.gain.probability = o.noise.probability = 0.5, o.noise.path = noise;
  o.white_noise.probability = o.shift.probability = o.impulse.probability = 0.5, o.impulse.path = noise;
  o.time_stretch.probability = o.transcode.probability = 0.5;
  o.spec_augment = {.freq_masks = 1, .time_masks = 2, .freq_width = 1, .time_width = 0.3};
  o.image = {.flip = 0.5, .crop = 0.5, .brightness = 0.4, .contrast = 0.4, .saturation = 0.4, .hue = 0.1};
  return o;
}

const std::filesystem::path kMediaFolder = std::string(ANTIPHON_SOURCE_DIR) + "/tests/media";

}  // namespace

TEST_CASE("augment: gain is 10^(db / 20)") {
  Audio audio{16000, {0.5F, -0.25F}};
  gain(audio, 20);
  CHECK(audio.samples == std::vector<float>{5, -2.5F});
  gain(audio, -6.020599913279624);
  CHECK(audio.samples[0] == Catch::Approx(2.5).epsilon(1e-6));
}

TEST_CASE("augment: noise lies at its ratio below the sound, cut or placed if the lengths differ") {
  const auto sound = sine(1600, 0.5);
  for (const double snr : {-5.0, 0.0, 12.5}) {
    for (const int64_t length : {400, 1600, 5000}) {
      const auto noise = sine(length, 0.01, 1234);
      auto mixed = sound;
      const int64_t begin = length == 1600 ? 0 : 300;
      REQUIRE(lay_noise(mixed, noise, begin, snr));
      std::vector<float> added;
      for (size_t i = 0; i < sound.samples.size(); ++i) added.push_back(mixed.samples[i] - sound.samples[i]);
      const auto from = length < 1600 ? added.begin() + begin : added.begin();
      const std::vector<float> own(from, from + std::min<int64_t>(length, 1600));
      CHECK(10 * std::log10(power(sound.samples) / power(own)) == Catch::Approx(snr).margin(1e-3));
      if (length < 1600) CHECK((added.front() == 0 && added.back() == 0));
      const auto factor = own[7] / noise.samples[static_cast<size_t>(length > 1600 ? 307 : 7)];
      CHECK(own[90] ==
            Catch::Approx(factor * noise.samples[static_cast<size_t>(length > 1600 ? 390 : 90)]).margin(1e-6));
    }
  }
  auto silence = Audio{16000, std::vector<float>(100)};
  CHECK_FALSE(lay_noise(silence, sound, 0, 10));
  auto same = sound;
  CHECK_FALSE(lay_noise(same, Audio{16000, std::vector<float>(100)}, 0, 10));
  CHECK(same.samples == sound.samples);
}

TEST_CASE("augment: a sound in a room is convolved with the room's response") {
  const std::vector<float> x{0.5F, -0.25F, 0, 1}, room{0.125F, 0.5F, -0.25F};
  const auto in_room = [&](const ImpulseOptions& options) {
    Audio audio{16000, x};
    REQUIRE(put_into_room(audio, {16000, room}, options));
    return audio.samples;
  };
  const auto check = [](const std::vector<float>& got, const std::vector<double>& sums) {
    double largest = 0;
    for (const double sum : sums) largest = std::max(largest, std::abs(sum));
    REQUIRE(got.size() == sums.size());
    for (size_t i = 0; i < sums.size(); ++i) CHECK(got[i] == Catch::Approx(sums[i] / largest).margin(1e-6));
  };
  // Sums of x[i - k] room[k].
  check(in_room({}), {0.0625, 0.21875, -0.25, 0.1875});
  check(in_room({.shift_impulse = true}), {0.21875, -0.25, 0.1875, 0.5});
  const std::vector<double> even{0, 0.375, -0.375};  // without their mean, of which the largest becomes 1
  std::vector<double> sums(4);
  for (size_t i = 0; i < 4; ++i)
    for (size_t k = 0; k < 3 && k <= i; ++k) sums[i] += static_cast<double>(x[i - k]) * even[k] / 0.375;
  check(in_room({.normalize_impulse = true}), sums);
  auto silence = Audio{16000, std::vector<float>(10)};
  CHECK_FALSE(put_into_room(silence, {16000, room}, {}));
  Audio audio{16000, x};
  CHECK_FALSE(put_into_room(audio, silence, {}));
  CHECK_FALSE(put_into_room(audio, {16000, {}}, {.normalize_impulse = true}));
  CHECK(audio.samples == x);
}

TEST_CASE("augment: white noise has its level, and is normal") {
  Audio audio{16000, std::vector<float>(20001, 0.5F)};
  Chance chance(3, 1);
  add_white_noise(audio, -40, chance);
  double sum = 0;
  int within = 0;
  for (auto& x : audio.samples) x -= 0.5F, sum += static_cast<double>(x), within += std::abs(x) < 0.01F;
  CHECK(power(audio.samples) == Catch::Approx(1e-4).epsilon(0.03));
  CHECK(std::abs(sum) / 20001 < 3e-4);
  CHECK(within / 20001.0 == Catch::Approx(0.6827).epsilon(0.02));
}

TEST_CASE("augment: a sound that is moved keeps its length") {
  const auto moved = [](double by) {
    Audio audio{1000, {1, 2, 3, 4}};
    CHECK(shift(audio, by));
    return audio.samples;
  };
  CHECK(moved(1) == std::vector<float>{2, 3, 4, 0});
  CHECK(moved(3.5) == std::vector<float>{4, 0, 0, 0});
  CHECK(moved(-1.5) == std::vector<float>{0, 0, 1, 2});  // NeMo rounds down
  CHECK(moved(0) == std::vector<float>{1, 2, 3, 4});
  CHECK(moved(-4) == std::vector<float>{0, 0, 0, 0});
  Audio audio{1000, {1, 2}};
  CHECK_FALSE(shift(audio, 2.5 + 1));
  CHECK(audio.samples == std::vector<float>{1, 2});
}

TEST_CASE("augment: a stretched sound has another length, the same pitch and the same loudness") {
  const auto sound = sine(16000, 0.5, 1000);
  for (const double rate : {0.5, 0.9, 1.1, 2.0}) {
    auto audio = sound;
    stretch(audio, rate);
    REQUIRE(std::ssize(audio.samples) == std::llrint(16000 / rate));
    const std::vector<float> middle(audio.samples.begin() + 2000, audio.samples.end() - 2000);
    int64_t crossings = 0;
    for (size_t i = 1; i < middle.size(); ++i) crossings += (middle[i - 1] < 0) != (middle[i] < 0);
    const double hertz = static_cast<double>(crossings) / 2 / static_cast<double>(middle.size()) * 16000;
    CHECK(hertz == Catch::Approx(1000).epsilon(0.002));
    CHECK((power(middle) > 0.1 && power(middle) < 0.13));  // phases of bins do not agree any more
  }
  auto same = sound;
  stretch(same, 1);
  CHECK(same.samples == sound.samples);
  for (const int64_t length : {0, 1, 2, 300}) {
    auto few = sine(length, 0.5);
    stretch(few, 4);
    CHECK(std::ssize(few.samples) == (length == 0 ? 0 : std::max<int64_t>(1, length / 4)));
    CHECK(std::ranges::all_of(few.samples, [](float x) { return std::isfinite(x); }));
  }
}

TEST_CASE("augment: G.711 keeps the levels of its codes, the nearest of them but at the edges of steps") {
  // What the 128 codes of a sign stand for, of 16 bits (ITU-T G.711, tables 1a and 2a).
  std::map<std::string, std::set<int>> levels;
  for (int code = 0; code < 128; ++code) {
    const int segment = code / 16, step = code % 16;
    levels["mu"].insert((((2 * step + 33) << segment) - 33) * 4);
    levels["a"].insert((segment == 0 ? 2 * step + 1 : (2 * step + 33) << (segment - 1)) * 8);
  }
  for (const auto& [law, above] : levels) {
    REQUIRE(above.size() == 128);
    CHECK(*above.rbegin() == (law == "mu" ? 32124 : 32256));
    std::set<int> found;
    int before = -32769;
    for (int sample = -32768; sample < 32768; ++sample) {
      const auto out = static_cast<int>(std::lround(through_g711(static_cast<float>(sample) / 32768, law) * 32768));
      if (!above.contains(std::abs(out)) || out < before) FAIL(law << ": " << sample << " became " << out);
      const int step = std::max(law == "mu" ? 8 : 16, std::abs(out) / 16);
      if (std::abs(out - sample) > (std::abs(sample) > 32124 ? 644 : step / 2 + 8))
        FAIL(law << ": " << sample << " became " << out);
      before = out;
      found.insert(out);
    }
    CHECK(found.size() == (law == "mu" ? 255 : 256));  // of mu-law, zero has both signs
  }
}

TEST_CASE("augment: a telephone lets 300 to 3400 Hz through, and keeps the length") {
  if (!has_media()) SKIP("built without FFmpeg");
  const auto passes = [](double hertz) {
    auto audio = sine(16001, 0.5, hertz);
    const double before = power(audio.samples);
    telephone(audio, "mu", {});
    REQUIRE(audio.samples.size() == 16001);
    return 10 * std::log10(power(audio.samples) / before);
  };
  CHECK(std::abs(passes(1000)) < 0.3);
  CHECK(passes(300) == Catch::Approx(-3).margin(0.3));
  CHECK(passes(75) < -22);
  CHECK(passes(5000) < -40);
  Audio loud{16000, sine(8000, 1.5, 1000).samples}, low = loud;
  for (float& x : low.samples) x *= 0.8F / 1.5F;
  telephone(loud, "a", {}), telephone(low, "a", {});
  CHECK(power(loud.samples) == Catch::Approx(power(low.samples)).epsilon(1e-3));
  Audio silence{16000, std::vector<float>(1000)};
  telephone(silence, "mu", {});
  CHECK(power(silence.samples) < 1e-9);
}

TEST_CASE("augment: kinds that came later are not part of older settings unless they are used") {
  AugmentOptions o;
  for (const auto* name : {"impulse", "white_noise", "shift", "time_stretch", "transcode"})
    CHECK(o.settings().find(name) == std::string::npos);
  o.shift.probability = 0.5;
  CHECK(o.settings().find("\"min_shift_ms\"") != std::string::npos);
  CHECK(o.settings().find("impulse") == std::string::npos);
  CHECK((o.changes_sound() && o.describe() == "shift"));
}

TEST_CASE("augment: masks are drawn from all places and widths that NeMo's are, and from no other") {
  Chance chance(1, 3);
  std::map<int64_t, int> band_begins, band_widths, frame_begins, frame_widths;
  for (int i = 0; i < 4000; ++i) {
    const auto masks =
        masks_of({.freq_masks = 2, .time_masks = 1, .freq_width = 3, .time_width = 0.05}, 8, 100, chance);
    REQUIRE((masks.bands.size() == 2 && masks.frames.size() == 1));
    for (const auto& [begin, width] : masks.bands) ++band_begins[begin], ++band_widths[width];
    ++frame_begins[masks.frames[0].begin], ++frame_widths[masks.frames[0].width];
  }
  // randint(0, 8 - 3) and randint(0, 3), both ends included; of frames 0 to 95 and 0 to 5.
  CHECK(band_begins.size() == 6);
  CHECK(band_begins.rbegin()->first == 5);
  CHECK(band_widths.size() == 4);
  for (const auto& [width, count] : band_widths) CHECK(std::abs(count - 2000) < 200);
  CHECK(frame_begins.rbegin()->first == 95);
  CHECK(frame_begins.size() == 96);
  CHECK(frame_widths.size() == 6);
  // A whole number is one of frames; a share of few frames is one frame at least, and no mask is beyond the end.
  for (int i = 0; i < 200; ++i) {
    for (const auto& mask : masks_of({.time_masks = 5, .time_width = 40}, 8, 30, chance).frames)
      CHECK((mask.begin == 0 && mask.width <= 30));
    for (const auto& mask : masks_of({.time_masks = 5, .time_width = 0.01}, 8, 30, chance).frames)
      CHECK((mask.width <= 1 && mask.begin + mask.width <= 30));
  }
}

TEST_CASE("augment: a crop has the area and the ratio that are asked for, within the picture") {
  Chance chance(7, 5);
  ImageAugmentOptions o;
  o.min_scale = 0.2, o.max_scale = 0.5;
  double least = 1, most = 0;
  for (int i = 0; i < 2000; ++i) {
    const auto crop = crop_of(o, 300, 400, chance);
    CHECK((crop.top >= 0 && crop.left >= 0 && crop.top + crop.height <= 300 && crop.left + crop.width <= 400));
    const double area = static_cast<double>(crop.height * crop.width) / 120000;
    const double ratio = static_cast<double>(crop.width) / static_cast<double>(crop.height);
    CHECK((area > 0.195 && area < 0.505 && ratio > 0.74 && ratio < 1.345));
    least = std::min(least, area), most = std::max(most, area);
  }
  CHECK((least < 0.21 && most > 0.49));
  o.min_scale = o.max_scale = 1;  // no such part of a strip: the middle of it
  const auto crop = crop_of(o, 10, 1000, chance);
  CHECK((crop.height == 10 && crop.width == 13 && crop.left == 493));
}

TEST_CASE("augment: a flipped picture is mirrored, and a whole crop is the picture") {
  const auto image = gradient(5, 7);
  auto flipped = image;
  media::flip(flipped);
  for (int64_t y = 0; y < 5; ++y)
    for (int64_t x = 0; x < 7; ++x)
      for (int64_t c = 0; c < 3; ++c)
        CHECK(flipped.rgb[static_cast<size_t>((y * 7 + x) * 3 + c)] ==
              image.rgb[static_cast<size_t>((y * 7 + 6 - x) * 3 + c)]);
  media::flip(flipped);
  CHECK(flipped.rgb == image.rgb);
  CHECK(media::resized_crop(image, 0, 0, {5, 7}, {5, 7}).rgb == image.rgb);
  const auto part = media::resized_crop(image, 1, 2, {3, 4}, {3, 4});
  CHECK(part.rgb[0] == image.rgb[(1 * 7 + 2) * 3]);
  CHECK(part.rgb.back() == image.rgb[(3 * 7 + 5) * 3 + 2]);
}

TEST_CASE("augment: colours at factor 1 and turn 0 stay, at 0 nothing of them is left") {
  auto image = gradient(4, 6);
  const auto before = image;
  media::adjust_brightness(image, 1), media::adjust_contrast(image, 1), media::adjust_saturation(image, 1);
  CHECK(image.rgb == before.rgb);
  media::adjust_saturation(image, 0);
  for (size_t i = 0; i < image.rgb.size(); i += 3)
    CHECK((image.rgb[i] == image.rgb[i + 1] && image.rgb[i] == image.rgb[i + 2]));
  media::adjust_contrast(image, 0);
  CHECK(std::ranges::count(image.rgb, image.rgb[0]) == std::ssize(image.rgb));
  media::adjust_brightness(image, 0);
  CHECK(image.rgb == std::vector<uint8_t>(image.rgb.size(), 0));
  Image red{1, 1, {255, 0, 0}};
  media::adjust_hue(red, 1.0 / 3);  // to green
  CHECK((red.rgb[0] <= 3 && red.rgb[1] == 255 && red.rgb[2] == 0));
}

TEST_CASE("augment: a sound at another speed has another length and pitch") {
  if (!has_media()) SKIP("built without FFmpeg");
  const auto sound = sine(16000, 0.5, 1000);
  for (const double rate : {0.9, 1.1}) {
    const auto changed = media::change_speed(sound, rate);
    CHECK(std::ssize(changed.samples) == static_cast<int64_t>(std::ceil(16000.0 / rate)));
    const auto expected = sine(std::ssize(changed.samples), 0.5, 1000 * rate);
    double worst = 0;
    for (size_t i = 1000; i + 1000 < changed.samples.size(); ++i)
      worst = std::max(worst, std::abs(static_cast<double>(changed.samples[i] - expected.samples[i])));
    CHECK(worst < 1e-3);
  }
  CHECK(media::change_speed(sound, 1).samples.size() == sound.samples.size());
}

TEST_CASE("augment: one seed, one change; another seed, another; and kinds that are off change nothing in others") {
  if (!has_media()) SKIP("built without FFmpeg");
  Setup setup;
  const auto options = all_changes((kMediaFolder / "tone.wav").parent_path().string());
  const Augmenter augmenter(options, *setup.model);
  const MediaItem sound{Modality::audio, {}, sine(8000, 0.5)}, picture{Modality::image, gradient(20, 30), {}};
  std::set<std::string> told_of;
  for (uint64_t seed = 0; seed < 40; ++seed) {
    std::string told, again;
    const auto first = augmenter.changed(sound, seed, told), second = augmenter.changed(sound, seed, again);
    CHECK(first.audio.samples == second.audio.samples);
    CHECK(told == again);
    CHECK((told.empty() == (first.audio.samples == sound.audio.samples) || told.find("speed 1") != std::string::npos ||
           told.find("stretch 1") != std::string::npos));
    std::string seen;
    const auto changed = augmenter.changed(picture, seed, seen);
    CHECK(changed.image.rgb == augmenter.changed(picture, seed, again).image.rgb);
    CHECK((changed.image.height == 20 && changed.image.width == 30));
    told_of.insert(told + seen);
  }
  CHECK(told_of.size() == 40);
  auto fewer = options;
  fewer.speed.probability = fewer.time_stretch.probability = 0;
  fewer.impulse.probability = fewer.noise.probability = 0;
  const Augmenter other(fewer, *setup.model);
  for (uint64_t seed = 0; seed < 20; ++seed) {
    std::string told, less;
    augmenter.changed(sound, seed, told), other.changed(sound, seed, less);
    CHECK(told.ends_with(less));
    CHECK((told.find("gain") == std::string::npos) == (less.find("gain") == std::string::npos));
  }
}

TEST_CASE("augment: frames of a video are changed alike, as a picture is, and count as one medium") {
  Setup setup;
  AugmentOptions options;
  options.image.flip = 0.5, options.image.crop = 0.5, options.image.brightness = 0.4;
  const Augmenter augmenter(options, *setup.model);
  const auto frame = gradient(20, 30);
  MediaItem video{Modality::video, {}, {}};
  video.video.images = {frame, frame, frame};
  for (uint64_t seed = 0; seed < 10; ++seed) {
    std::string told, alone;
    const auto changed = augmenter.changed(video, seed, told).video.images;
    const auto picture = augmenter.changed({Modality::image, frame, {}}, seed, alone).image;
    CHECK(told == alone);
    for (const auto& image : changed) CHECK(image.rgb == picture.rgb);
  }
  CHECK(augmenter.counts().ends_with("colours 20 of 20 media"));
}

TEST_CASE("augment: a sample is changed by its source, its record and its epoch, alike on any threads and rows") {
  if (!has_media()) SKIP("built without FFmpeg");
  Setup setup(model::testing::kTwoStreams, all_changes(kMediaFolder.string()));
  std::string records;
  for (int i = 0; i < 6; ++i) records += sound_line("s" + std::to_string(i), (kMediaFolder / "tone.wav").string());
  auto o = setup.options({{records, 1}});
  const auto changes = [&](int64_t threads, const RowShare& share, int n) {
    o.threads = threads;
    std::map<std::string, std::vector<std::string>> of_sample;
    auto loader = setup.loader(o, 200, 1, share);
    for (int i = 0; i < n; ++i)
      for (const auto& media : loader->next_batch().media) of_sample[media.sample_id].push_back(media.augmented);
    for (auto& [id, list] : of_sample) list.resize(2);  // its first two epochs
    return of_sample;
  };
  const auto expected = changes(1, {}, 30);
  CHECK(expected.size() == 6);
  CHECK(expected == changes(5, {}, 30));
  std::set<std::string> different;
  for (const auto& [id, list] : expected) different.insert(list.begin(), list.end());
  CHECK(different.size() > 8);
  CHECK(augment_seed(1, 0, 3, 0) != augment_seed(1, 0, 3, 1));
  CHECK(augment_seed(1, 0, 3, 0) != augment_seed(1, 1, 3, 0));
  CHECK(augment_seed(1, 0, 3, 0) != augment_seed(2, 0, 3, 0));
}

TEST_CASE("augment: media that are changed are no others' content, and have no place in the cache of features") {
  if (!has_media()) SKIP("built without FFmpeg");
  Setup setup;
  auto options = all_changes(kMediaFolder.string());
  options.image.flip = 1;
  const Augmenter augmenter(options, *setup.model);
  FeatureCache cache(setup.folder / "features", {{"image", "x"}, {"audio", "y"}});
  const Preparer preparer(*setup.model, setup.prompts, cache, {}, 10000, {}, {}, {}, &augmenter);
  const MediaRef ref{Modality::image, kMediaFolder / "rgba.png"};
  const auto plain = preparer.read(ref, "s"), changed = preparer.read(ref, "s", {}, 1),
             again = preparer.read(ref, "s", {}, 1), other = preparer.read(ref, "s", {}, 2);
  CHECK(plain.augmented.empty());
  CHECK_FALSE(plain.cache_key.empty());
  CHECK(changed.cache_key.empty());
  CHECK(changed.augmented.find("flipped") != std::string::npos);
  CHECK(changed.content == again.content);
  CHECK(std::set{plain.content, changed.content, other.content}.size() == 3);
  CHECK(at::equal(changed.item.inputs[0][0], again.item.inputs[0][0]));
  CHECK_FALSE(at::equal(changed.item.inputs[0][0], plain.item.inputs[0][0]));
  CHECK(preparer.augments().starts_with(
      "augmented by speed, time_stretch, impulse, noise, white_noise, gain, shift, transcode, spec_augment, image ("));
}

TEST_CASE("augment: masked frames are those of the sound, set to 0") {
  if (!has_media()) SKIP("built without FFmpeg");
  Setup setup;
  AugmentOptions options;
  options.spec_augment = {.time_masks = 1, .time_width = 0.5};
  const Augmenter augmenter(options, *setup.model);
  const auto& stream = setup.model->stream_for(Modality::audio);
  int masked = 0;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    model::StreamItem item;
    item.inputs = {{at::ones({1, 1, 10}), at::ones({1, 1, 10})}};
    std::string told;
    augmenter.mask(item, stream, 12 * 1600, seed, told);  // two of the second part's frames are the sound's
    CHECK(told == "0 bands and 2 stretches masked");
    CHECK(at::equal(item.inputs[0][1].narrow(2, 2, 8), at::ones({1, 1, 8})));
    const auto zeros = (item.inputs[0][0] == 0).sum().item<int64_t>();
    CHECK(zeros <= 5);
    masked += zeros > 0;
  }
  CHECK(masked > 30);
}

TEST_CASE("augment: what cannot be done is refused before a run begins") {
  Setup setup;
  const auto refused = [&](const AugmentOptions& options) {
    const auto error = failure([&] { Augmenter(options, *setup.model); });
    return error && error->kind() == ErrorKind::config ? std::string(error->what()) : "";
  };
  AugmentOptions o;
  o.noise.probability = 1, o.noise.path = (setup.folder / "nowhere").string();
  CHECK(refused(o).find("nowhere") != std::string::npos);
  std::filesystem::create_directories(setup.folder / "empty");
  o.noise.path = (setup.folder / "empty").string();
  CHECK(refused(o).find("holds no recording") != std::string::npos);
  const auto manifest = [&](const std::string& text) {
    setup.folder.write("noises.jsonl", text);
    o.noise.path = (setup.folder / "noises.jsonl").string();
    return refused(o);
  };
  CHECK(manifest("").find("data.augment.noise.path: ") != std::string::npos);
  CHECK(manifest("").find("holds no recording") != std::string::npos);
  AugmentOptions room;
  room.impulse.probability = 1, room.impulse.path = o.noise.path;
  CHECK(refused(room).find("data.augment.impulse.path: ") != std::string::npos);
  CHECK(manifest("{\"audio_filepath\": \"a.wav\"}\nx\n").find("noises.jsonl:2") != std::string::npos);
  CHECK(manifest("[1]\n").find("no text audio_filepath") != std::string::npos);
  CHECK(manifest("{\"audio_filepath\": 3}\n").find("no text audio_filepath") != std::string::npos);
  CHECK(manifest("{\"audio_filepath\": \"a.wav\", \"offset\": -1}\n").find("offset is -1") != std::string::npos);
  CHECK(manifest("{\"audio_filepath\": \"a.wav\", \"duration\": \"x\"}\n").find("duration is") != std::string::npos);
  CHECK(manifest("{\"audio_filepath\": \"a.wav\", \"offset\": 1, \"duration\": null}\n").empty());
  const auto noises = noises_of(o.noise.path);
  REQUIRE(noises.size() == 1);
  CHECK((noises[0].begin == 1 && std::isinf(noises[0].seconds)));
  Setup chunks(
      "llm = { plugin = \"test_lm\" }\n"
      "streams.audio = { encoder = { plugin = \"test_chunks\" }, connector = { plugin = \"test_linear\" } }\n");
  AugmentOptions masks, pictures;
  masks.spec_augment.time_masks = 1, pictures.image.flip = 1;
  CHECK(failure([&] { Augmenter(masks, *chunks.model); })->message().find("test_chunks of stream audio has none") !=
        std::string::npos);
  CHECK(failure([&] { Augmenter(pictures, *chunks.model); })->message().find("no stream that takes any") !=
        std::string::npos);
}

TEST_CASE("augment: a noise that cannot be read ends the run; it is not a fault of the sample") {
  if (!has_media()) SKIP("built without FFmpeg");
  Setup scratch;
  scratch.folder.write("broken.wav", "RIFF");
  AugmentOptions options;
  options.noise.probability = 1, options.noise.path = (scratch.folder / "broken.wav").parent_path().string();
  Setup setup(model::testing::kTwoStreams, options);
  const auto o = setup.options({{sound_line("s", (kMediaFolder / "tone.wav").string()), 1}});
  const auto error = failure([&] { setup.loader(o)->next_batch(); });
  REQUIRE(error);
  CHECK(error->kind() == ErrorKind::config);
  CHECK(error->message().find("broken.wav cannot be read") != std::string::npos);
}

TEST_CASE("augment: options that do not go together are refused") {
  const auto refused = [](const AugmentOptions& options) {
    config::Problems problems;
    check_augment(options, problems);
    return problems.size();
  };
  AugmentOptions o;
  CHECK(refused(o) == 0);
  o.noise.probability = o.impulse.probability = 0.1;
  CHECK(refused(o) == 2);
  o.white_noise.min_level = -40, o.shift.max_shift_ms = -6;
  o.time_stretch.max_speed_rate = 0.5;
  o.speed.min_speed_rate = 1.2, o.gain.max_gain_db = -20, o.noise.max_snr_db = 0;
  o.image.min_scale = 1, o.image.max_scale = 0.5, o.image.max_ratio = 0.1, o.spec_augment.time_width = 2.5;
  CHECK(refused(o) == 11);
  DataOptions data;
  data.augment.image.flip = 0.5;
  const auto problems_of = [](const DataOptions& options) {
    config::Problems problems;
    check_data(options, problems);
    return problems.size();
  };
  CHECK(problems_of(data) == 1);  // the cache of features is on
  data.feature_cache = "";
  CHECK(problems_of(data) == 0);
  data.blend = "round_robin", data.temperature = 2, data.train.sources = {{.path = "a", .weight = 2.0}, {.path = "b"}};
  CHECK(problems_of(data) == 2);
  data.eval["held"].sources = {{"c"}};
  data.eval["held"].sources[0].epochs = 1;
  CHECK(problems_of(data) == 3);
}
