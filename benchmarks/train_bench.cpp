// Training steps as train::Trainer makes them, without its clipping (the peers have none either).
#include <ATen/ATen.h>

#include <numeric>

#include "random_model.h"
#include "train_steps.h"
#include "verbs.h"

namespace antiphon::bench {
namespace {

constexpr const char* kTrainAll = "model.llm.trainable=true";
constexpr int64_t kPictureAt = 4;  // where the picture of a sample stands

// One after the other until a batch is full, as data::Loader fills them.
std::vector<model::Batch> packed(model::MultimodalLm& model, const std::vector<int64_t>& lengths, int64_t budget) {
  std::vector<model::Batch> batches;
  std::vector<data::Prepared> samples;
  int64_t tokens = 0;
  const auto close = [&] {
    batches.push_back(data::pack(std::exchange(samples, {}), data::kPackMultiple));
    tokens = 0;
  };
  for (const auto length : lengths) {
    if (tokens + length > budget) close();
    samples.push_back(random_sample(model, length));
    tokens += length;
  }
  close();
  return batches;
}

// A picture, then text of which the second half of the sample is supervised.
data::Prepared picture_sample(model::MultimodalLm& model, int64_t tokens) {
  auto sample = random_sample(model, tokens);
  auto media = random_media(model, {Modality::image, random_picture(224, 224), {}});
  media.position = kPictureAt;
  std::fill_n(sample.ids.begin() + kPictureAt, media.item.tokens, 0);
  std::fill_n(sample.supervised.begin(), tokens / 2, false);
  sample.media.push_back(std::move(media));
  return sample;
}

}  // namespace

void train(const Flags& flags) {
  auto model = random_model(flags.model, flags.dtype, {flags.full ? kTrainAll : kLora});
  std::vector<data::Prepared> samples;
  for (int64_t i = 0; i < flags.batch; ++i) samples.push_back(random_sample(*model, flags.sequence));
  const auto batch = data::pack(std::move(samples));
  Steps step(*model, flags.recompute);
  const auto walls = repeat(flags.repeats, [&] { step(batch); });
  report("train", flags, step,
         {{"full", flags.full}, {"recompute", flags.recompute}, {"batch", flags.batch}, {"seq", flags.sequence}},
         batch.tokens(), walls);
}

void mixed(const Flags& flags) {
  auto model = random_model(flags.model, flags.dtype, {kLora});
  const auto batches = packed(*model, flags.lengths, flags.budget);
  const auto tokens = std::accumulate(flags.lengths.begin(), flags.lengths.end(), int64_t{0});
  int64_t computed = 0;
  for (const auto& batch : batches) computed += batch.tokens();
  Steps step(*model);
  const auto walls = repeat(flags.repeats, [&] {
    for (const auto& batch : batches) step(batch);
  });
  report("mixed", flags, step,
         {{"sequences", flags.lengths.size()}, {"batches", batches.size()}, {"tokens", tokens}, {"computed", computed}},
         tokens, walls);
}

void llava(const Flags& flags) {
  std::vector<std::string> settings{R"(model.streams.image.encoder={plugin = "clip", layer = -2})",
                                    R"(model.streams.image.connector={plugin = "mlp"})"};
  if (flags.what == "full") settings.emplace_back(kTrainAll);
  if (flags.what == "lora") settings.emplace_back(kLora);
  auto model = random_model(flags.model, flags.dtype, settings);
  std::vector<data::Prepared> samples;
  for (int64_t i = 0; i < flags.batch; ++i) samples.push_back(picture_sample(*model, flags.sequence));
  const auto batch = data::pack(std::move(samples));
  Steps step(*model);
  const auto walls = repeat(flags.repeats, [&] { step(batch); });
  report("llava", flags, step,
         {{"stage", flags.what},
          {"batch", flags.batch},
          {"seq", flags.sequence},
          {"image_tokens", batch.media.front().item.tokens},
          {"supervised", batch.supervised()}},
         batch.tokens(), walls);
}

}  // namespace antiphon::bench
