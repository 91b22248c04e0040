#include <antiphon/model/export.h>

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>
#include <antiphon/base/files.h>
#include <antiphon/base/gguf.h>
#include <antiphon/base/paths.h>
#include <antiphon/base/strings.h>
#include <antiphon/config/path.h>
#include <antiphon/model/export_gguf.h>
#include <antiphon/model/exporter.h>
#include <antiphon/nn/linear/linear.h>
#include <antiphon/weights/export.h>
#include <antiphon/weights/json_file.h>

namespace antiphon::model {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// The directory in whose folders the parts of a model like this lie, each a model's own (VILA).
std::unique_ptr<WholeModel> holder_of(const std::string& llm_weights) {
  const auto parent = fs::path(llm_weights).parent_path();
  if (parent.empty() || !path_exists(parent / "config.json", ErrorKind::weights)) return nullptr;
  try {
    auto whole = std::make_unique<WholeModel>(parent);
    const auto llm = config::text_at(whole->compose(), "llm.weights");
    return fs::path(llm) == fs::path(llm_weights) ? std::move(whole) : nullptr;
  } catch (const Error&) {  // it is another kind of folder
    return nullptr;
  }
}

bool has_adapters(const Part& part) {
  return std::ranges::any_of(part.module->sites(), [](const auto& site) { return !site.linear->adapters.empty(); }) ||
         std::ranges::any_of(part.module->tables(), [](const auto& site) { return !site.table->adapters.empty(); });
}

}  // namespace

ExportReport Exporter::run() {
  for (const auto& place : places_)
    if (place.slot.kind == PartKind::peft && model_.in_use(place.slot.index) &&
        !model_.pefts()[place.slot.index].can_merge())
      fail(ErrorKind::config,
           fmt::format("[model.{}] a '{}' cannot become part of the weights: {}", place.part.path, place.part.plugin,
                       model_.pefts()[place.slot.index].why_not_merged()),
           model_.pefts()[place.slot.index].tokens == TokenChoice::all
               ? "use the adapter folders of the run beside the language model's directory"
               : "use the run's folder as its `weights`");
  if (llm_.weights.empty())
    fail(ErrorKind::config, "the language model has no weights, so there is no directory to write one like",
         "name a Hugging Face directory in model.llm.weights");
  if (options_.gguf && place_at(places_, "head"))
    fail(ErrorKind::config, "a GGUF file has no place for a head of scores", "leave --format out");
  if (options_.gguf) return export_gguf();
  std::string why;
  if (const auto holder = llm_.part.empty() ? holder_of(llm_.weights) : nullptr) {
    why = why_not_whole(places_, *holder);
    if (why.empty()) return export_folders(*holder);
  } else if (!llm_.part.empty()) {
    const WholeModel whole(llm_.weights);
    why = why_not_whole(places_, whole);
    if (why.empty()) return export_whole(whole);
  }
  if (pairs_)
    fail(ErrorKind::config,
         fmt::format("a dual encoder is written like the directory that it came from, and this one has none{}",
                     why.empty() ? "" : ": " + why),
         "compose it with from = \"a CLIP or SigLIP directory\"; the run's folder has what was trained");
  return export_language_model(why);
}

void Exporter::write_directory(const fs::path& folder, json config) const {
  config.erase("quantization_config");  // of a source in 4 bits, which is written as what it stands for
  weights::save_checkpoint(folder, tensors_.tensors());
  weights::write_json(folder / "config.json", config);
  const auto& spec = model_.spec().llm;
  if (spec.tokenizer.empty() || !is_gguf(llm_.weights)) weights::copy_tokenizer(llm_.weights, folder);
  weights::copy_tokenizer(tokenizer_folder(spec), folder);
  if (spec.chat_template.empty()) return;
  write_file_atomic(folder / "chat_template.jinja", read_file(spec.chat_template, ErrorKind::config),
                    ErrorKind::weights);
  remove_file(folder / "chat_template.json", ErrorKind::weights);
}

// Its tensors, and its config.json.
json Exporter::add_language_model() {
  add_own(tensors_, llm_, as_it_is);
  NameMap names = llm_.names;
  names.whole.clear();
  tensors_.add_rest(llm_, names);
  auto config = pretrained_for(llm_.weights, llm_.part).config.json();
  if (config.is_null())
    fail(ErrorKind::weights, fmt::format("{} has no config.json to write", llm_.weights),
         "name the model's Hugging Face directory in model.llm.weights");
  set_dtype(config, tensors_.dtype(), true);
  set_tied(config, *places_.front().slot.options);
  return config;
}

// transformers' …ForSequenceClassification: the head of scores in the place of that of tokens.
void Exporter::add_scores(const Place& head, json& config) {
  constexpr std::string_view writes = "ForCausalLM";
  const auto names = config.value("architectures", std::vector<std::string>());
  if (names.size() != 1 || !names.front().ends_with(writes))
    fail(ErrorKind::config,
         fmt::format("{} is not of the architecture …{}, beside which transformers has one of scores", llm_.weights,
                     writes),
         "take the head from head.safetensors in the run's folder");
  config["architectures"] = {names.front().substr(0, names.front().size() - writes.size()) +
                             "ForSequenceClassification"};
  tensors_.leave_out("lm_head.weight"), config["tie_word_embeddings"] = true;  // whoever asks for it finds none
  add_own(tensors_, head.part, as_it_is);
  tensors_.add_rest(head.part, head.part.names);
  const auto outputs = config::at_path(*head.slot.options, "outputs");
  auto labels = json::object(), ids = json::object();
  for (int64_t i = 0; i < (outputs ? *outputs->get_if<int64_t>() : 1); ++i) {
    const auto label = fmt::format("LABEL_{}", i);
    labels[std::to_string(i)] = label, ids[label] = i;
  }
  config["id2label"] = std::move(labels), config["label2id"] = std::move(ids);
}

ExportReport Exporter::export_gguf() {
  if (!llm_.part.empty())
    if (const WholeModel whole(llm_.weights); why_not_whole(places_, whole).empty()) return export_gguf_pair(whole);
  const auto config = add_language_model();
  const auto how = write_gguf(output_, config, tensors_.tensors(), *options_.gguf, model_.spec().llm);
  const bool more = places_.size() > 1;
  return report(fmt::format("a {} language model {}", config.value("model_type", ""), how),
                more ? "streams and their connectors are not in it" : "");
}

ExportReport Exporter::export_language_model(const std::string& why) {
  auto config = add_language_model();
  const auto* head = place_at(places_, "head");
  if (head) add_scores(*head, config);
  write_directory(output_, config);
  auto beside = add_beside();
  if (!why.empty()) beside = fmt::format("the model is not what {} holds: {}; {}", llm_.weights, why, beside);
  return report(fmt::format("a {} {}", config.value("model_type", ""), head ? "model of scores" : "language model"),
                beside);
}

// What transformers has no place for: connectors, and encoders that were trained.
std::string Exporter::add_beside() {
  std::vector<std::string> written;
  for (const auto& place : places_)
    if (place.slot.kind == PartKind::connector ||
        (place.slot.kind == PartKind::encoder &&
         (place.part.module->trainable_count() > 0 || has_adapters(place.part))))
      written.push_back(write_beside(place));
  return written.empty() ? "" : "beside it: " + join(written, ", ");
}

std::string Exporter::write_beside(const Place& place) {
  const auto& [part, slot] = place;
  if (slot.kind == PartKind::connector) {
    make_folder(output_ / "connectors", ErrorKind::weights);
    weights::save_safetensors(output_ / "connectors" / (slot.stream + ".safetensors"),
                              connector_tensors(part, options_.dtype).tensors());
    return "connectors/" + slot.stream + ".safetensors";
  }
  const auto folder = fs::path("encoders") / (slot.index ? fmt::format("{}.{}", slot.stream, slot.index) : slot.stream);
  write_encoder(part, output_ / folder, options_.dtype);
  return folder.string();
}

ExportReport export_model(Model& model, const fs::path& output, const ExportOptions& options) {
  return Exporter(model, output, options).run();
}

}  // namespace antiphon::model
