// Qwen3-VL, of the sizes of a file but with fewer blocks, with a picture in each sample: training steps, and answers.
#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/engine/generator.h>

#include "random_model.h"
#include "train_steps.h"
#include "verbs.h"

namespace antiphon::bench {
namespace {

constexpr int64_t kPictureAt = 4, kSide = 320, kText = 64, kNew = 64;

std::unique_ptr<model::MultimodalLm> vision_model(const Flags& flags, const std::vector<std::string>& more) {
  const int64_t every = std::max<int64_t>(1, flags.blocks / 3);
  std::vector<std::string> settings{
      R"(model.llm.part="")", fmt::format("model.llm.num_layers={}", flags.layers),
      fmt::format("model.streams.image.encoder.num_layers={}", flags.blocks),
      fmt::format("model.streams.image.encoder.taps=[{},{},{}]", every - 1, 2 * every - 1, 3 * every - 1)};
  for (const char* part : {"encoder", "connector"})
    for (const char* key : {"weights", "part"})
      settings.push_back(fmt::format(R"(model.streams.image.{}.{}="")", part, key));
  settings.insert(settings.end(), more.begin(), more.end());
  return random_model(flags.model, flags.dtype, settings);
}

// `text` tokens after the picture, of which the second half of all is supervised.
data::Prepared vision_sample(model::MultimodalLm& model, int64_t tokens) {
  auto media = random_media(model, {Modality::image, random_picture(kSide, kSide), {}});
  auto sample = random_sample(model, tokens > 0 ? tokens : media.item.tokens + kText);
  media.position = kPictureAt;
  std::fill_n(sample.ids.begin() + kPictureAt, media.item.tokens, 0);
  std::fill_n(sample.supervised.begin(), sample.tokens() / 2, false);
  sample.media.push_back(std::move(media));
  data::give_positions(sample, model.llm());
  return sample;
}

nlohmann::json facts_of(const Flags& flags, const data::Prepared& sample) {
  return {{"what", flags.what},
          {"dtype", flags.dtype},
          {"layers", flags.layers},
          {"blocks", flags.blocks},
          {"image_tokens", sample.media.front().item.tokens}};
}

void train_vision(const Flags& flags) {
  auto model = vision_model(flags, {kLora});
  std::vector<data::Prepared> samples;
  for (int64_t i = 0; i < flags.batch; ++i) samples.push_back(vision_sample(*model, flags.sequence));
  auto facts = facts_of(flags, samples.front());
  const auto batch = data::pack(std::move(samples));
  Steps step(*model);
  const auto walls = repeat(flags.repeats, [&] { step(batch); });
  facts.update({{"batch", flags.batch}, {"seq", flags.sequence}, {"supervised", batch.supervised()}});
  report("vision", flags, step, facts, batch.tokens(), walls);
}

void decode_vision(const Flags& flags) {
  auto model = vision_model(flags, {});
  const auto sample = vision_sample(*model, 0);
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
  emit("vision", facts, {{"wall_med_s", walls}, {"first_s", first}, {"decode_tok_s", speeds}});
}

}  // namespace

void vision(const Flags& flags) { flags.what == "train" ? train_vision(flags) : decode_vision(flags); }

}  // namespace antiphon::bench
