// What stands between the encoder and the language model in SALM (Chen et al. 2023) of NeMo's archives: a Conformer
// adapter and a layer, or a layer alone. Source of the names: NeMo, nemo/collections/multimodal/speech_llm/modules/
// perception_modules.py. The encoder is read without a part; the language model is not in the archive, which has LoRA's
// matrices at most.
#include <antiphon/component/family_parts.h>
#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

namespace antiphon::nemo_salm {
namespace {

class NemoSalm : public ModelFamily {
 public:
  // The last rule is that of a layer alone: names in the file tell which of the two is there. A language model is never
  // there, so that whoever asks for one is told that its table is missing.
  std::vector<WholePart> parts() const override {
    return {{"modality_adapter",
             "streams.audio.connector",
             "modality_adapter",
             {{"modality_adapter.pre_encode.{}", "in_proj.{}"},
              {"modality_adapter.proj.{}", "out_proj.{}"},
              {"modality_adapter.layers.{}", "layers.{}"},
              {"proj.{}", "{}"}}},
            {"language_model", "llm", "language_model", {{"language_model.{}", "{}"}}}};
  }

  config::Value compose(const PretrainedConfig&, const std::string& directory) const override {
    fail(ErrorKind::weights, directory + " is a speech encoder, and no whole model: it has no language model",
         "give model.llm, and a stream with encoder = { plugin = \"fastconformer\", weights = \"" + directory + "\" }");
  }

  void describe(const config::Value&, nlohmann::json&) const override {}
};

}  // namespace
}  // namespace antiphon::nemo_salm

ANTIPHON_PLUGIN(nemo_salm, "0.1.0") {
  using namespace antiphon::nemo_salm;
  antiphon::register_component<antiphon::ModelFamily, NemoSalm>(registrar, "parakeet_encoder",
                                                                "the speech part of SALM in NeMo's archives");
}
