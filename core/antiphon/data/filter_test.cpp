// Samples that are left out by what they measure, and how that is counted.
#include <antiphon/data/filter.h>
#include <antiphon/data/test_loader.h>
#include <antiphon/media/decode.h>

#include <catch2/catch_test_macros.hpp>

#include <set>

using namespace antiphon;
using namespace antiphon::data;
using namespace antiphon::data::testing;

TEST_CASE("filter: each limit alone, and none of them at its own value") {
  const Measures sample{.tokens = 100, .supervised = 20, .seconds = 4, .sounds = 1};
  const auto why = [&](const FilterOptions& options) {
    const auto reason = left_out_by(options, sample);
    return reason ? std::string(filter_reason(*reason)) : "";
  };
  CHECK(why({}).empty());
  CHECK(why({.min_seconds = 4,
             .max_seconds = 4,
             .min_tokens = 100,
             .max_tokens = 100,
             .min_tokens_per_second = 5,
             .max_tokens_per_second = 5})
            .empty());
  CHECK(why({.min_seconds = 4.01}) == "shorter than min_seconds");
  CHECK(why({.max_seconds = 3.99}) == "longer than max_seconds");
  CHECK(why({.min_tokens = 101}) == "fewer tokens than min_tokens");
  CHECK(why({.max_tokens = 99}) == "more tokens than max_tokens");
  CHECK(why({.min_tokens_per_second = 5.1}) == "less said than min_tokens_per_second");
  CHECK(why({.max_tokens_per_second = 4.9}) == "more said than max_tokens_per_second");
  CHECK(why({.max_seconds = 1, .max_tokens = 1}) == "longer than max_seconds");  // counted once, by the first
}

TEST_CASE("filter: a sample without sound is not judged by its seconds") {
  const Measures text{.tokens = 100, .supervised = 20};
  CHECK_FALSE(left_out_by({.min_seconds = 1, .min_tokens_per_second = 1, .max_tokens_per_second = 0.1}, text));
  CHECK(left_out_by({.max_tokens = 99}, text));
}

TEST_CASE("filter: what is left out is counted by reason and is not bad; what is beyond the model, too") {
  if (media::backend_version().starts_with("off")) SKIP("built without FFmpeg");
  Setup setup;
  const auto tone = std::string(ANTIPHON_SOURCE_DIR) + "/tests/media/tone.wav";
  auto o =
      setup.options({{line("good", "z") + line("long", std::string(90, 'z')) + line("beyond", std::string(300, 'z')) +
                          sound_line("sound", tone) + sound_line("talk", tone, std::string(40, 'x')),
                      1}});
  o.filter.max_tokens = 80, o.filter.max_tokens_per_second = 20;
  auto loader = setup.loader(o, 128);
  std::set<std::string> seen;
  for (int i = 0; i < 20; ++i)
    for (const auto& id : ids_of(loader->next_batch())) seen.insert(id);
  CHECK(seen == std::set<std::string>{"good", "sound"});
  CHECK(setup.listed.empty());
  const auto counts = loader->counts();
  CHECK(counts.bad == 0);
  CHECK(counts.filtered[3] >= 2 * (counts.filtered[5] - 1));
  CHECK(counts.filtered[5] > 3);
  CHECK(total(counts.filtered) == counts.filtered[3] + counts.filtered[5]);
  CHECK(describe(FilterCounts{0, 2, 0, 1, 0, 0}) == "2 longer than max_seconds, 1 more tokens than max_tokens");
}

TEST_CASE("filter: seconds are those of the sound, also if its features come from a cache, or of a piece of it") {
  if (media::backend_version().starts_with("off")) SKIP("built without FFmpeg");
  Setup setup;
  const auto tone = std::string(ANTIPHON_SOURCE_DIR) + "/tests/media/tone.wav";
  const auto whole = media::load_audio(tone, 16000).seconds();
  FeatureCache cache(setup.folder / "features", {{"audio", "settings"}});
  Preparer preparer(*setup.model, setup.prompts, cache, {}, 200);
  MediaRef ref{Modality::audio, tone};
  auto first = preparer.read(ref, "s");
  CHECK(first.seconds == whole);
  model::Batch batch;
  first.item.features = {at::ones({1, 2, 1})};
  batch.media.push_back(first);
  cache.store(batch);
  const auto again = preparer.read(ref, "s");
  CHECK(again.item.inputs.empty());  // it came from the cache
  CHECK(again.seconds == whole);
  ref.seconds = 0.25;
  CHECK(preparer.read(ref, "s").seconds == 0.25);
}

TEST_CASE("filter: one that leaves nothing ends the run, in words") {
  Setup setup;
  auto o = setup.options({{lines("a", 20), 1}});
  o.filter.min_tokens = 10000;
  const auto error = failure([&] { setup.loader(o)->next_batch(); });
  REQUIRE(error);
  CHECK(error->kind() == ErrorKind::data);
  CHECK(error->message() ==
        "data.filter left out the last 1040 samples; of all so far: 1040 fewer tokens than min_tokens");
}

TEST_CASE("filter: settings are part of how samples are drawn; those of older runs read as before") {
  Setup setup;
  auto o = setup.options({{lines("a", 5), 1}});
  CHECK(setup.loader(o)->draw_settings() == "weights 1; 128 tokens a batch; 1 batches a step");
  o.filter.max_seconds = 20, o.temperature = 2, o.train.sources[0].epochs = 3;
  o.packing = {"buckets", 32, {16, 64}};
  CHECK(setup.loader(o)->draw_settings() ==
        "weights 1; 128 tokens a batch; 1 batches a step; temperature 2; epochs 3; packed buckets [16, 64] from 32 "
        "samples; filter max_seconds 20");
  o.blend = "round_robin", o.temperature = 1;
  CHECK(setup.loader(o)->draw_settings().find("; round_robin; epochs 3") != std::string::npos);
}

TEST_CASE("filter: max_samples takes the first records of a source, and is part of what the data is") {
  Setup setup;
  auto o = setup.options({{lines("a", 20), 1}});
  const auto whole = setup.loader(o)->fingerprint();
  o.train.sources[0].max_samples = 7;
  auto loader = setup.loader(o);
  CHECK(loader->samples() == 7);
  CHECK(loader->fingerprint() != whole);
  std::set<std::string> seen;
  for (int i = 0; i < 20; ++i)
    for (const auto& id : ids_of(loader->next_batch())) seen.insert(id);
  CHECK(seen == std::set<std::string>{"a0", "a1", "a2", "a3", "a4", "a5", "a6"});
  o.train.sources[0].max_samples = 100;
  CHECK(setup.loader(o)->fingerprint() == whole);
}
