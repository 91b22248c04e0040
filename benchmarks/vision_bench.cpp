// Qwen3-VL, or Qwen2.5-Omni's thinker, of the sizes of a file but with fewer blocks, with a picture in each sample, and
// a sound, too, if the model hears: training steps, and answers.
#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/engine/generator.h>

#include "random_model.h"
#include "train_steps.h"
#include "verbs.h"

namespace antiphon::bench {
namespace {

constexpr int64_t kMediaAt = 4, kBetween = 4, kText = 64, kNew = 64;

// What is measured: its bench's name, how its towers get fewer blocks, and what is in each sample.
struct Subject {
  const char* name;
  std::vector<std::string> settings;
  std::vector<MediaItem> items;
};

Subject qwen3_vl(const Flags& flags) {
  const int64_t every = std::max<int64_t>(1, flags.blocks / 3);
  return {"vision",
          {fmt::format("model.streams.image.encoder.taps=[{},{},{}]", every - 1, 2 * every - 1, 3 * every - 1)},
          {{Modality::image, random_picture(320, 320), {}}}};
}

Subject thinker(const Flags& flags) {
  return {"omni",
          {fmt::format("model.streams.image.encoder.full_attention_layers=[{}]", flags.blocks - 1)},
          {{Modality::image, random_picture(280, 280), {}}, {Modality::audio, {}, random_sound(4)}}};
}

std::unique_ptr<model::MultimodalLm> model_of(const Flags& flags, const Subject& subject,
                                              const std::vector<std::string>& more) {
  std::vector<std::string> settings{R"(model.llm.part="")", fmt::format("model.llm.num_layers={}", flags.layers)};
  for (const auto& item : subject.items) {
    const char* stream = item.modality == Modality::image ? "image" : "audio";
    settings.push_back(fmt::format("model.streams.{}.encoder.num_layers={}", stream, flags.blocks));
    for (const char* part : {"encoder", "connector"})
      for (const char* key : {"weights", "part"})
        settings.push_back(fmt::format(R"(model.streams.{}.{}.{}="")", stream, part, key));
  }
  settings.insert(settings.end(), subject.settings.begin(), subject.settings.end());
  settings.insert(settings.end(), more.begin(), more.end());
  return random_model(flags.model, flags.dtype, settings);
}

// Media, with a few tokens between them, and text: `tokens` in all, or kText beside the media; the second half of all
// is supervised.
data::Prepared sample_of(model::MultimodalLm& model, const Subject& subject, int64_t tokens) {
  std::vector<model::BatchMedia> all;
  int64_t taken = 0;
  for (const auto& item : subject.items) {
    auto& media = all.emplace_back(random_media(model, item));
    media.position = kMediaAt + taken;
    taken += media.item.tokens + kBetween;
  }
  auto sample = random_sample(model, tokens > 0 ? tokens : taken - kBetween * std::ssize(all) + kText);
  for (auto& media : all) {
    std::fill_n(sample.ids.begin() + media.position, media.item.tokens, 0);
    sample.media.push_back(std::move(media));
  }
  std::fill_n(sample.supervised.begin(), sample.tokens() / 2, false);
  data::give_positions(sample, model.llm());
  return sample;
}

nlohmann::json facts_of(const Flags& flags, const data::Prepared& sample) {
  int64_t tokens = 0;
  for (const auto& media : sample.media) tokens += media.item.tokens;
  return {{"what", flags.what},
          {"dtype", flags.dtype},
          {"layers", flags.layers},
          {"blocks", flags.blocks},
          {"media_tokens", tokens}};
}

void train_subject(const Flags& flags, const Subject& subject) {
  auto model = model_of(flags, subject, {kLora});
  std::vector<data::Prepared> samples;
  for (int64_t i = 0; i < flags.batch; ++i) samples.push_back(sample_of(*model, subject, flags.sequence));
  auto facts = facts_of(flags, samples.front());
  const auto batch = data::pack(std::move(samples));
  Steps step(*model);
  const auto walls = repeat(flags.repeats, [&] { step(batch); });
  facts.update({{"batch", flags.batch}, {"seq", flags.sequence}, {"supervised", batch.supervised()}});
  report(subject.name, flags, step, facts, batch.tokens(), walls);
}

void decode_subject(const Flags& flags, const Subject& subject) {
  auto model = model_of(flags, subject, {});
  const auto sample = sample_of(*model, subject, 0);
  const auto answer = [&](int64_t tokens) {
    engine::GenerateOptions options;
    options.max_tokens = tokens;
    return repeat(flags.repeats, [&] { engine::generate(*model, std::vector{sample}, options, {}); });
  };
  const auto first = answer(1), walls = answer(kNew);
  std::vector<double> speeds;
  for (const double wall : walls) speeds.push_back(static_cast<double>(kNew - 1) / (wall - median(first)));
  auto facts = facts_of(flags, sample);
  facts.update({{"prompt", sample.tokens()}, {"new", kNew}});
  emit(subject.name, facts, {{"wall_med_s", walls}, {"first_s", first}, {"decode_tok_s", speeds}});
}

void measure(const Flags& flags, const Subject& subject) {
  flags.what == "train" ? train_subject(flags, subject) : decode_subject(flags, subject);
}

}  // namespace

void vision(const Flags& flags) { measure(flags, qwen3_vl(flags)); }
void omni(const Flags& flags) { measure(flags, thinker(flags)); }

}  // namespace antiphon::bench
