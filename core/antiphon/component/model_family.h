// A family of whole models in Hugging Face directories (LLaVA, Qwen2-Audio): how its config.json maps to a composition,
// and which checkpoint names belong to which part. The component's name is the model_type of config.json.
#pragma once
#include <antiphon/component/kind.h>
#include <antiphon/component/name_map.h>
#include <antiphon/component/pretrained.h>
#include <antiphon/config/value.h>

namespace antiphon {

// A part of a whole model; a slot's `part` names it.
struct WholePart {
  std::string name;        // "vision_tower"
  std::string slot;        // where compose() puts it: "llm", "streams.image.encoder", "streams.image.connector"
  std::string config_key;  // its own table in config.json, "vision_config"; empty: none
  // Names in the whole checkpoint <-> what the part's own name map (or module) calls them. Of several spellings the
  // first is that of files, and the last that of the modules of transformers 5, which PEFT's files have.
  std::vector<NameRule> names;
  // Names of such modules that no file has: asked first, in this direction alone.
  std::vector<NameRule> modules = {};
  bool is_language_model() const { return slot == "llm"; }
  bool is_encoder() const { return slot.ends_with(".encoder"); }
};

class ModelFamily {
 public:
  virtual ~ModelFamily() = default;
  virtual std::vector<WholePart> parts() const = 0;
  // config.json as the family writes it today, with a table for each part, whatever older form the file has. Default:
  // as it is.
  virtual JsonTable current(const JsonTable& config) const { return config; }
  // The [model] table for a directory. Error(weights) for what config.json asks for and is not there.
  virtual config::Value compose(const PretrainedConfig& pretrained, const std::string& directory) const = 0;
  // The inverse: writes what a [model] table says about the use of the parts (feature layer, …) into config.json. The
  // parts' own tables are there already.
  virtual void describe(const config::Value& model, nlohmann::json& config) const = 0;
};

template <>
struct KindOf<ModelFamily> : Kind<> {
  static constexpr const char* name = "model_family";
};

// The plugin that reads this part of config.json. Error(plugin) if there is none.
std::string plugin_reading(const std::string& kind, const JsonTable& config, const std::string& key);

}  // namespace antiphon
