// Qwen2-Audio (Chu et al. 2024; transformers: models/qwen2_audio) as a composition: a Whisper-like encoder that sees
// the clip's own length and halves its vectors, one linear layer, Qwen2.
#include <antiphon/component/family_parts.h>
#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

namespace antiphon::qwen2_audio {
namespace {

using config::Value;

class Qwen2Audio : public ModelFamily {
 public:
  std::vector<WholePart> parts() const override {
    return sound_parts({{"multi_modal_projector.linear.{}", "{}"}, {"model.multi_modal_projector.linear.{}", "{}"}});
  }

  Value compose(const PretrainedConfig& pretrained, const std::string& directory) const override {
    const auto& json = pretrained.config;
    static const auto* keys = new ForeignKeys(
        common_keys().with({.other = {"audio_config", "text_config", "audio_token_index", "audio_token_id",
                                      "ignore_index", "vocab_size", "tie_word_embeddings"}}));
    check_keys(json, *keys);
    const auto slot = [&](const char* kind, const char* part, const char* key) {
      return part_slot(plugin_reading(kind, json, key), directory, part);
    };
    auto connector = part_slot("linear", directory, "multi_modal_projector");
    Value::Table stream{{"placeholder", "<|AUDIO|>"},
                        {"encoder", slot("encoder", "audio_tower", "audio_config")},
                        {"connector", std::move(connector)}};
    return Value::Table{{"llm", slot("language_model", "language_model", "text_config")},
                        {"streams", Value::Table{{"audio", std::move(stream)}}}};
  }

  void describe(const Value&, nlohmann::json&) const override {}
};

}  // namespace
}  // namespace antiphon::qwen2_audio

ANTIPHON_PLUGIN(qwen2_audio, "0.1.0") {
  using namespace antiphon::qwen2_audio;
  antiphon::register_component<antiphon::ModelFamily, Qwen2Audio>(registrar, "qwen2_audio", "Qwen2-Audio directories");
}
