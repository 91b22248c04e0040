// What a model is used with: decoding, and the encoders before it.
#include <ATen/ATen.h>

#include <antiphon/engine/generator.h>

#include "random_model.h"
#include "verbs.h"

namespace antiphon::bench {
namespace {

constexpr int64_t kPrompt = 64, kNew = 128, kLongPrompt = 512;

std::vector<double> generate(model::MultimodalLm& model, const Flags& flags, int64_t prompt, int64_t fresh) {
  engine::GenerateOptions options;
  options.max_tokens = fresh;
  const std::vector<data::Prepared> samples(static_cast<size_t>(flags.rows), random_sample(model, prompt));
  return repeat(flags.repeats, [&] { engine::generate(model, samples, options, {}); });
}

// The stream whose encoder is measured; what comes after it is small and never runs.
std::vector<std::string> stream_of(const std::string& what) {
  const std::string encoder =
      what == "whisper"
          ? R"({plugin = "whisper", hidden_size = 512, num_layers = 6, num_heads = 8, intermediate_size = 2048})"
      : what == "clip" ? R"({plugin = "clip", class_token = true})"
                       : R"({plugin = "siglip"})";
  return {"model.llm.num_layers=1", "model.streams.media.encoder=" + encoder,
          R"(model.streams.media.connector={plugin = "linear"})"};
}

model::Batch media_batch(model::MultimodalLm& model, const Flags& flags) {
  model::Batch batch;
  for (int64_t i = 0; i < flags.batch; ++i) {
    MediaItem item;
    if (flags.what == "whisper")
      item.modality = Modality::audio, item.audio = random_sound(30);
    else
      item.image = random_picture(224, 224);
    batch.media.push_back(random_media(model, item));
  }
  return batch;
}

}  // namespace

void decode(const Flags& flags) {
  auto model = random_model(flags.model, flags.dtype, {});
  if (!flags.weights.empty()) model->llm().quantize(flags.weights);
  const auto walls = generate(*model, flags, kPrompt, kNew), first = generate(*model, flags, kPrompt, 1),
             prefill = generate(*model, flags, kLongPrompt, 1);
  const auto rows = static_cast<double>(flags.rows);
  std::vector<double> decode_rates, prefill_rates;
  for (const double wall : walls) decode_rates.push_back(rows * (kNew - 1) / (wall - median(first)));
  for (const double wall : prefill) prefill_rates.push_back(rows * kLongPrompt / wall);
  emit("decode",
       {{"dtype", flags.dtype}, {"weights", flags.weights}, {"rows", flags.rows}, {"prompt", kPrompt}, {"new", kNew}},
       {{"wall_med_s", walls},
        {"decode_tok_s", decode_rates},
        {"ttft64_s", first},
        {"prefill512_tok_s", prefill_rates}});
}

void encode(const Flags& flags) {
  auto model = random_model(flags.model, flags.dtype, stream_of(flags.what));
  const auto batch = media_batch(*model, flags);
  int64_t outputs = 0;
  const auto walls = repeat(flags.repeats, [&] {
    auto fresh = batch;
    model->encode(fresh);
    outputs = 0;
    for (const auto& media : fresh.media)
      for (const auto& part : media.item.features) outputs += part.numel();
  });
  std::vector<double> rates;
  for (const double wall : walls) rates.push_back(static_cast<double>(flags.batch) / wall);
  emit("encode", {{"what", flags.what}, {"dtype", flags.dtype}, {"batch", flags.batch}, {"outputs", outputs}},
       {{"wall_med_s", walls}, {"items_per_s", rates}});
}

}  // namespace antiphon::bench
