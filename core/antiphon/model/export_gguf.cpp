#include <antiphon/model/export_gguf.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>
#include <antiphon/base/log.h>
#include <antiphon/model/origin.h>
#include <antiphon/text/template/chat_template.h>
#include <antiphon/text/tokenizer/gguf_export.h>
#include <antiphon/text/tokenizer/tokenizer.h>
#include <antiphon/weights/gguf_model.h>

namespace antiphon::model {
namespace {

void put_vocabulary(weights::GgufMetadata& out, const text::GgufVocabulary& vocabulary) {
  const std::string at = "tokenizer.ggml.";
  out.put(at + "model", std::string_view(vocabulary.model));
  out.put(at + "pre", std::string_view(vocabulary.pre.empty() ? "default" : vocabulary.pre));
  out.put(at + "tokens", vocabulary.tokens);
  out.put(at + "token_type", vocabulary.types);
  if (!vocabulary.scores.empty()) out.put(at + "scores", vocabulary.scores);
  if (vocabulary.model == "gpt2") out.put(at + "merges", vocabulary.merges);
  for (const auto& [key, id] : vocabulary.ids) out.put(at + key, static_cast<uint32_t>(id));
  out.put(at + "add_bos_token", vocabulary.add_bos);
  out.put(at + "add_eos_token", vocabulary.add_eos);
  if (vocabulary.model == "llama") out.put(at + "add_space_prefix", vocabulary.add_space_prefix);
}

// "" if there is none: some models only complete.
std::string template_of(const std::string& place, const std::string& own) {
  try {
    const auto tokenizer = text::Tokenizer::load(place);
    return text::ChatTemplate::load(own.empty() ? place : own, tokenizer.special_tokens()).source();
  } catch (const Error& error) {
    if (!own.empty()) throw;
    log::warning(fmt::format("no chat template is written: {}", error.what()));
    return {};
  }
}

}  // namespace

std::string write_gguf(const std::filesystem::path& output, const nlohmann::json& config,
                       const weights::LazyTensors& tensors, GgmlType type, const LanguageModelSpec& spec) {
  const auto place = tokenizer_folder(spec);
  auto model = weights::gguf_model(config, tensors, type, output.stem().string());
  put_vocabulary(model.metadata, text::gguf_vocabulary(place, model.vocabulary));
  if (const auto shown = template_of(place, spec.chat_template); !shown.empty())
    model.metadata.put("tokenizer.chat_template", std::string_view(shown));
  weights::save_gguf(output, model.metadata, model.tensors);
  const auto* name = ggml_layout(type)->name;
  return model.kept == 0 ? fmt::format("in {}", name)
                         : fmt::format("in {}, {} matrices in F16, whose rows are not whole blocks", name, model.kept);
}

}  // namespace antiphon::model
