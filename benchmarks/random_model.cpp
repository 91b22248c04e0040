#include "random_model.h"

#include <ATen/ATen.h>

namespace antiphon::bench {

std::unique_ptr<model::MultimodalLm> random_model(const std::string& file, const std::string& dtype,
                                                  const std::vector<std::string>& settings) {
  auto root = config::load_toml(file);
  config::apply_set(root, R"(model.llm.weights="")");
  for (const auto& setting : settings) config::apply_set(root, setting);
  config::Problems problems;
  auto spec = model::model_table().parse(*root.find("model"), "model", problems);
  problems.throw_if_any();
  auto model = model::MultimodalLm::build(spec);
  model->load({at::kCPU, model::number_formats(dtype, at::kCPU), 1});
  return model;
}

data::Prepared random_sample(model::MultimodalLm& model, int64_t tokens) {
  const auto ids = at::randint(1, model.llm().vocab_size(), {tokens}, at::kLong);
  data::Prepared sample;
  sample.id = "random";
  sample.ids.assign(ids.data_ptr<int64_t>(), ids.data_ptr<int64_t>() + tokens);
  sample.supervised.assign(sample.ids.size(), true);
  return sample;
}

Image random_picture(int64_t height, int64_t width) {
  const auto bytes = at::randint(0, 255, {height * width * 3}, at::kByte);
  return {height, width, {bytes.data_ptr<uint8_t>(), bytes.data_ptr<uint8_t>() + bytes.numel()}};
}

Audio random_sound(double seconds) {
  const auto samples = at::randn({static_cast<int64_t>(seconds * 16000)}).mul_(0.1);
  return {16000, {samples.data_ptr<float>(), samples.data_ptr<float>() + samples.numel()}};
}

model::BatchMedia random_media(model::MultimodalLm& model, const MediaItem& item) {
  const auto& stream = model.stream_for(item.modality);
  model::BatchMedia media;
  media.stream = stream.name(), media.sample_id = "random";
  media.item = stream.process(item);
  return media;
}

}  // namespace antiphon::bench
