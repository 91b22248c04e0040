// Whole models in one Hugging Face directory: which part is whose, and the directory as a composition.
#pragma once
#include <filesystem>
#include <memory>
#include <string>

#include <antiphon/component/model_family.h>

namespace antiphon::model {

// The directory of a whole model, opened. Error(weights) if no family has its model_type, Error(plugin) if a plugin is
// refused.
class WholeModel {
 public:
  explicit WholeModel(const std::filesystem::path& directory);
  // Error(config) with the known names.
  const WholePart& part(const std::string& name) const;
  const std::vector<WholePart>& parts() const { return parts_; }
  // config.json and preprocessor_config.json as the part's component reads them.
  PretrainedConfig pretrained(const WholePart& part) const;
  const nlohmann::json& config() const { return pretrained_.config.json(); }
  config::Value compose() const;
  const ModelFamily& family() const { return *family_; }
  const std::filesystem::path& directory() const { return directory_; }

 private:
  std::filesystem::path directory_;
  PretrainedConfig pretrained_;
  std::unique_ptr<ModelFamily> family_;
  std::vector<WholePart> parts_;
};

// What a component with these `weights` and `part` reads; see ComponentSpec. Nothing if `weights` is empty, or names
// nothing that is there: whoever loads it says so.
PretrainedConfig pretrained_for(const std::string& weights, const std::string& part);
// NameMap::whole for them; empty if the checkpoint is the component's own.
std::vector<NameRule> whole_names(const std::string& weights, const std::string& part);

// The [model] table of the directory of a whole model or of a language model alone, without an adapter in it.
config::Value compose_model(const std::string& directory);
// The same, or of a PEFT adapter for one of these, which may lie in the model's own directory.
config::Value compose(const std::string& directory);
// Replaces the key `from` of a [model] table by what it stands for; the table's other keys win.
void expand_from(config::Value& model);

}  // namespace antiphon::model
