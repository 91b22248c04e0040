#include <antiphon/run/export_check.h>

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>

#include <antiphon/base/gguf.h>
#include <antiphon/base/log.h>
#include <antiphon/base/paths.h>
#include <antiphon/config/path.h>
#include <antiphon/model/part_slot.h>
#include <antiphon/model/slot.h>
#include <antiphon/model/whole_model.h>
#include <antiphon/weights/checkpoint.h>

#include <algorithm>
#include <cmath>

namespace antiphon::run {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kText = 48, kCompared = 16;  // tokens of each text, and the last of them whose logits are compared
constexpr double kBound = 1e-3, kRoundedBound = 0.05;

// Numbers that look random and are always the same.
class Noise {
 public:
  uint32_t next() { return state_ = state_ * 1664525u + 1013904223u, state_ >> 8; }
  uint32_t below(int64_t end) { return next() % static_cast<uint32_t>(end); }

 private:
  uint32_t state_ = 7;
};

MediaItem noise_item(const model::Stream& stream, Noise& noise) {
  MediaItem item{stream.modality(), {}, {}};
  if (item.modality == Modality::image) {
    item.image = {48, 64, std::vector<uint8_t>(48 * 64 * 3)};
    for (auto& value : item.image.rgb) value = static_cast<uint8_t>(noise.below(256));
    return item;
  }
  item.audio = {stream.sample_rate(), std::vector<float>(static_cast<size_t>(stream.sample_rate()))};
  for (auto& value : item.audio.samples) value = static_cast<float>(noise.below(2000)) / 1000.0f - 1.0f;
  return item;
}

data::Prepared text_of(const model::MultimodalLm& model, Noise& noise, const std::string& id) {
  data::Prepared sample;
  sample.id = id;
  for (int64_t i = 0; i < std::min(kText, model.context()); ++i)
    sample.ids.push_back(noise.below(const_cast<model::MultimodalLm&>(model).llm().vocab_size()));
  sample.supervised.assign(sample.ids.size(), false);
  return sample;
}

void add_media(const model::MultimodalLm& model, data::Prepared& sample, Noise& noise) {
  for (const auto& [name, stream] : model.streams()) {
    model::BatchMedia media;
    media.stream = name, media.sample_id = sample.id, media.position = 1;
    media.item = stream->process(noise_item(*stream, noise));
    if (sample.tokens() + media.item.tokens > model.context()) {
      log::warning(fmt::format("the probe leaves out stream {}: its noise has {} tokens", name, media.item.tokens));
      continue;
    }
    for (auto& other : sample.media) other.position += media.item.tokens;
    sample.ids.insert(sample.ids.begin() + 1, static_cast<size_t>(media.item.tokens), 0);
    sample.supervised.resize(sample.ids.size(), false);
    sample.media.insert(sample.media.begin(), std::move(media));  // as they stand
  }
}

// Two texts, the second with media; the last token of each is supervised.
model::Batch batch_of_probe(model::MultimodalLm& model) {
  Noise noise;
  auto first = text_of(model, noise, "text"), second = text_of(model, noise, "media");
  add_media(model, second, noise);
  for (auto* sample : {&first, &second}) {
    sample->supervised.back() = true;
    data::begin_with_prompt(*sample, model.prompt_tokens());
    data::give_positions(*sample, model.llm());
  }
  auto batch = data::pack({first, second});
  model.encode(batch);
  return batch;
}

// [2 * kCompared, vocab_size]
at::Tensor logits_of_probe(model::MultimodalLm& model) {
  const auto batch = batch_of_probe(model);
  const auto hidden = model.forward(batch).split_with_sizes(batch.lengths);
  const auto last = [](const at::Tensor& x) {
    return x.narrow(0, std::max<int64_t>(0, x.size(0) - kCompared), std::min(x.size(0), kCompared));
  };
  return model.llm().logits(at::cat({last(hidden[0]), last(hidden[1])})).clone();
}

// Of a dual encoder the two vectors of noise and a text: [1, scores()].
at::Tensor vectors_of_probe(model::Model& model) {
  Noise noise;
  auto sample = text_of(model.lm(), noise, "pair");
  sample.supervised.assign(sample.ids.size(), true);
  model::BatchMedia media;
  const auto& [name, stream] = *model.lm().streams().begin();
  media.stream = name, media.sample_id = sample.id, media.item = stream->process(noise_item(*stream, noise));
  sample.ids.insert(sample.ids.begin(), 0), sample.supervised.insert(sample.supervised.begin(), false);
  sample.media.push_back(std::move(media));
  auto batch = data::pack(std::vector<data::Prepared>{sample});
  model.lm().encode(batch);
  return model.score(batch, {}).clone();
}

// Of a reward model its numbers of both texts: [2, scores()].
at::Tensor probe_of(model::Model& model) {
  c10::InferenceMode inference;
  if (model.pairs()) return vectors_of_probe(model);
  if (model.scores() == 0) return logits_of_probe(model.lm());
  return model.score(batch_of_probe(model.lm()), {}).clone();
}

std::unique_ptr<model::Model> loaded(model::ModelSpec& spec) {
  auto model = model::build(spec);
  model->load({at::kCPU, {at::kFloat, at::kFloat, ""}, 1});
  return model;
}

// A slot that takes its values from what was written; `weights` empty: as before.
void take_from(config::Value& slot, const std::string& weights, const std::string& part) {
  auto& table = *slot.get_if<config::Value::Table>();
  table.erase("peft");
  if (weights.empty()) return;
  table["weights"] = config::Value(weights);
  table.erase("part");
  if (!part.empty()) table["part"] = config::Value(part);
}

// The composition of what was written, with nothing beside its weights and nothing to be trained by methods, which
// `freeze` may name, if it is a whole model's directory: where each part lies the directory says.
model::ModelSpec whole_spec(model::ModelSpec spec, const config::Value& said) {
  const auto of = [&](const std::string& slot, const char* key) { return config::text_at(said, slot + "." + key); };
  spec.llm.weights = of("llm", "weights"), spec.llm.part = of("llm", "part"), spec.llm.peft.clear();
  spec.freeze.clear();
  if (said.find("head")) spec.head.weights = of("head", "weights"), spec.head.part = of("head", "part");
  for (auto& [name, stream] : spec.streams) {
    const auto encoder = "streams." + name + ".encoder", connector = "streams." + name + ".connector";
    take_from(stream.encoder, of(encoder, "weights"), of(encoder, "part"));
    stream.connector.weights = of(connector, "weights"), stream.connector.part = of(connector, "part");
    stream.connector.peft.clear();
  }
  return spec;
}

// The same of a language model with connectors and encoders in folders beside it.
model::ModelSpec written_spec(model::ModelSpec spec, const fs::path& output) {
  if (!is_gguf(output))
    if (const auto said = model::compose(output.string()); said.find("streams")) return whole_spec(spec, said);
  spec.llm.weights = output.string(), spec.llm.peft.clear(), spec.llm.part.clear(), spec.freeze.clear();
  if (!spec.head.plugin.empty()) {  // the head of tokens is not in it
    spec.head.weights = output.string();
    if (auto* options = spec.llm.options.get_if<config::Value::Table>(); options && options->contains("tie_embeddings"))
      (*options)["tie_embeddings"] = config::Value(true);
  }
  for (auto& [name, stream] : spec.streams) {
    std::vector<config::Value*> encoders{&stream.encoder};
    if (auto* list = stream.encoder.get_if<config::Value::Array>()) {
      encoders.clear();
      for (auto& each : *list) encoders.push_back(&each);
    }
    for (size_t i = 0; i < encoders.size(); ++i) {
      const auto folder = output / "encoders" / (i ? fmt::format("{}.{}", name, i) : name);
      take_from(*encoders[i], path_exists(folder, ErrorKind::weights) ? folder.string() : "", "");
    }
    stream.connector.peft.clear(), stream.connector.part.clear();
    stream.connector.weights = (output / "connectors" / (name + ".safetensors")).string();
  }
  return spec;
}

bool is_rounded(const fs::path& llm) {
  if (is_gguf(llm)) return true;
  const weights::Checkpoint file(llm);
  return std::ranges::any_of(file.names(), [&](const auto& name) {
    const auto type = file.tensor(name).scalar_type();
    return type == at::kBFloat16 || type == at::kHalf;
  });
}

}  // namespace

ExportCheck check_export(const OpenOptions& open, const fs::path& output, std::optional<double> bound) {
  auto config = read_config(open.file, open.sets);
  at::Tensor adapted, written;
  model::ModelSpec spec = config.model;
  {
    const auto model = loaded(spec);
    load_trained(*model, open, config.train.ema);
    choose_adapters(model->lm(), open);
    adapted = probe_of(*model);
  }
  auto other = written_spec(config.model, output);
  written = probe_of(*loaded(other));
  ExportCheck check;
  check.difference = (adapted - written).abs().max().item<double>();
  check.largest = adapted.abs().max().item<double>(), check.logits = adapted.numel();
  check.bound = bound.value_or(is_rounded(other.llm.weights) ? kRoundedBound : kBound);
  if (check.difference <= check.bound * check.largest) return check;
  fail(ErrorKind::weights,
       fmt::format(
           "what was written to {} is another model: of {} logits of a probe one differs by {:.2g}, more than {:g} "
           "of the largest, which is {:.3g}",
           output.string(), check.logits, check.difference, check.bound, check.largest),
       "write with --dtype fp32, or allow more: --check BOUND");
}

}  // namespace antiphon::run
