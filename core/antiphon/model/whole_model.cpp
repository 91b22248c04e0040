#include <antiphon/model/whole_model.h>

#include <antiphon/model/compose_adapter.h>

#include <fmt/format.h>

#include <antiphon/base/paths.h>
#include <antiphon/base/strings.h>
#include <antiphon/component/model_family.h>
#include <antiphon/component/register.h>
#include <antiphon/model/processor_file.h>
#include <antiphon/plugin/loader.h>
#include <antiphon/weights/json_file.h>
#include <antiphon/weights/load.h>

namespace antiphon::model {
namespace {

constexpr const char* kTied = "tie_word_embeddings";

std::string model_type(const PretrainedConfig& pretrained, const std::filesystem::path& directory) {
  if (pretrained.empty())
    fail(ErrorKind::weights, fmt::format("{} has no config.json", directory.string()),
         "name a Hugging Face directory with config.json and model.safetensors");
  return pretrained.config.text("model_type", "");
}

JsonTable processor_file(const std::filesystem::path& directory) {
  return weights::read_json_table(directory / "processor_config.json");
}

std::unique_ptr<ModelFamily> family_of(const std::string& type) {
  config::Problems problems;
  const PretrainedConfig none;
  const config::Value options = config::Value::Table{};
  config::Value resolved = options;
  return create<ModelFamily>(type, {options, "model", none, problems, resolved});
}

}  // namespace

WholeModel::WholeModel(const std::filesystem::path& directory)
    : directory_(directory), pretrained_(weights::read_pretrained_config(directory)) {
  const auto type = model_type(pretrained_, directory);
  family_ = with_context(fmt::format("{} holds a model of type '{}'", directory.string(), type),
                         [&] { return family_of(type); });
  pretrained_.config = family_->current(pretrained_.config);
  parts_ = family_->parts();
}

const WholePart& WholeModel::part(const std::string& name) const {
  std::vector<std::string> known;
  for (const auto& part : parts_) {
    if (part.name == name) return part;
    known.push_back(part.name);
  }
  const auto near = nearest(name, known);
  fail(ErrorKind::config,
       fmt::format("{} has no part '{}'{}", directory_.string(), name,
                   near.empty() ? "" : fmt::format("; did you mean '{}'?", near)),
       "its parts: " + join(known, ", "));
}

PretrainedConfig WholeModel::pretrained(const WholePart& part) const {
  PretrainedConfig own;
  own.preprocessor = pretrained_.preprocessor, own.video_preprocessor = pretrained_.video_preprocessor;
  if (part.config_key.empty()) return own;
  own.config = pretrained_.config.table(part.config_key);
  if (!own.config.exists()) pretrained_.config.refuse(part.config_key, "a table");
  if (part.is_encoder()) check_processor_file(processor_file(directory_), pretrained_.config);
  // The head is tied if the whole model or the language model's own table says so.
  const auto* tied = pretrained_.config.find(kTied);
  if (part.is_language_model() && tied && !own.config.flag(kTied, false)) own.config = own.config.with(kTied, *tied);
  return own;
}

config::Value WholeModel::compose() const { return family_->compose(pretrained_, directory_.string()); }

PretrainedConfig pretrained_for(const std::string& weights, const std::string& part) {
  if (weights.empty()) return {};
  if (path_exists(weights, ErrorKind::weights) && !is_folder(weights, ErrorKind::weights) &&
      !weights::is_checkpoint_file(weights))
    fail(ErrorKind::weights, weights + " is neither a folder nor a file of weights",
         "give a Hugging Face directory, or a .safetensors, .gguf, .nemo, .bin, .pt, .pth or .ckpt file");
  if (part.empty()) {
    auto pretrained = weights::read_pretrained_config(weights);
    if (pretrained.empty() && is_folder(weights, ErrorKind::weights))
      fail(ErrorKind::weights, weights + " has no config.json, which says what model its tensors are",
           "take the whole directory of the model");
    check_processor_file(processor_file(weights), pretrained.config);
    return pretrained;
  }
  if (!path_exists(weights, ErrorKind::weights)) return {};  // as without a part: its options may all be given
  const WholeModel whole(weights);
  return whole.pretrained(whole.part(part));
}

std::vector<NameRule> whole_names(const std::string& weights, const std::string& part) {
  if (weights.empty() || part.empty() || !path_exists(weights, ErrorKind::weights)) return {};
  return WholeModel(weights).part(part).names;
}

config::Value compose(const std::string& directory) {
  const bool adapter = is_adapter_folder(directory) || holds_adapter(directory);
  return adapter ? compose_adapter(directory) : compose_model(directory);
}

config::Value compose_model(const std::string& directory) {
  const auto pretrained = weights::read_pretrained_config(directory);
  const auto plugin = plugin::component_reading("language_model", model_type(pretrained, directory));
  if (plugin.empty()) return WholeModel(directory).compose();
  return config::Value::Table{{"llm", config::Value::Table{{"plugin", plugin}, {"weights", directory}}}};
}

void expand_from(config::Value& model) {
  auto* table = model.get_if<config::Value::Table>();
  if (!table || !table->contains("from")) return;
  const auto from = table->extract("from").mapped();
  const auto* directory = from.get_if<std::string>();
  if (!directory)
    fail(ErrorKind::config,
         fmt::format("{}: [model] from must be a string, got {}", from.where.str(), from.type_name()),
         "name a Hugging Face directory");
  if (directory->empty()) return;
  auto whole = with_context(from.where.str(), [&] { return compose(*directory); });
  config::merge(whole, model);
  whole.where = model.where;
  model = std::move(whole);
}

}  // namespace antiphon::model
