// Full tuning of some parameters: those of the part itself, chosen by name, while all others stay as they are. The
// files have the form of PEFT's LN_TUNING (peft/tuners/ln_tuning), which keeps trained copies of modules of any kind:
// keys <module>.ln_tuning_layers.<parameter>.
#include <antiphon/base/error.h>
#include <antiphon/base/strings.h>
#include <antiphon/component/peft.h>
#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace antiphon::selective {

using Names = std::vector<std::string>;

struct SelectiveOptions {
  Names targets = {}, exclude = {};
};

const config::Table<SelectiveOptions>& selective_table() {
  using O = SelectiveOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("selective")
          .field("targets", &O::targets,
                 "parameters to train: last parts of their names, with or without the last one, or globs over whole "
                 "names: \"norm\", \"lm_head\", \"*.bias\", \"model.layers.3?.*\"",
                 {.required = true})
          .field("exclude", &O::exclude, "those of them that stay as they are, said in the same way"));
  return *table;
}

std::string module_of(const std::string& parameter) {
  const auto dot = parameter.rfind('.');
  return dot == std::string::npos ? "" : parameter.substr(0, dot);
}

// By the end of its name after a dot, or of its module's; or by a glob.
bool matches(const std::string& pattern, const std::string& parameter) {
  for (const auto& name : {parameter, module_of(parameter)})
    if (ends_in(name, pattern)) return true;
  return glob_match(pattern, parameter);
}

std::set<std::string> matching(const char* key, const Names& patterns, const Names& parameters) {
  std::set<std::string> all;
  for (const auto& pattern : patterns) {
    bool any = false;
    for (const auto& parameter : parameters)
      if (matches(pattern, parameter)) all.insert(parameter), any = true;
    if (any) continue;
    std::set<std::string> ends;
    for (const auto& parameter : parameters) {
      const auto module = module_of(parameter);
      ends.insert(module.substr(module.rfind('.') + 1));
    }
    const auto guess = nearest(pattern, {ends.begin(), ends.end()});
    fail(ErrorKind::config,
         fmt::format("selective: {}: '{}' matches none of the part's {} parameters; their modules are called: {}", key,
                     pattern, parameters.size(), join({ends.begin(), ends.end()}, ", ")),
         guess.empty() ? "name some of these" : "did you mean '" + guess + "'?");
  }
  return all;
}

class Selective : public Peft, private Module {
 public:
  explicit Selective(const SelectiveOptions& options) : options_(options) {}

  std::vector<std::string> attach(const PeftTarget& target) override {
    if (target.hidden_size > 0) task_type_ = "CAUSAL_LM";
    const auto left_out = matching("exclude", options_.exclude, target.parameters);
    const auto chosen = matching("targets", options_.targets, target.parameters);
    std::ranges::set_difference(chosen, left_out, std::back_inserter(trained_));
    if (trained_.empty())
      fail(ErrorKind::config, "selective: no parameter is left to train", "look at `targets` and `exclude`");
    return {};
  }

  Names also_trained() const override { return trained_; }
  Module& module() override { return *this; }

  std::string key_of(const std::string& parameter) const override {
    const auto module = module_of(parameter);
    return Peft::key_of(module + ".ln_tuning_layers" + parameter.substr(module.size()));
  }

  nlohmann::json adapter_config() const override {
    std::set<std::string> modules;
    for (const auto& name : trained_) modules.insert(module_of(name));
    return {
        {"peft_type", "LN_TUNING"}, {"task_type", task_type_}, {"target_modules", modules}, {"inference_mode", true}};
  }

  ForeignKeys config_keys() const override {
    return {.fixed = {{"modules_to_save", {nlohmann::json::array()}}},
            .other = {"peft_type", "task_type", "auto_mapping", "peft_version", "base_model_name_or_path", "revision",
                      "inference_mode", "target_modules", "exclude_modules"},
            .unknown_refused = true};
  }
  Names compared_keys() const override { return {}; }
  void merge() override {}  // what is trained is the part's already

 private:
  SelectiveOptions options_;
  Names trained_;
  nlohmann::json task_type_;  // PEFT's, of what it is attached to; null: none in particular
};

}  // namespace antiphon::selective

ANTIPHON_PLUGIN(selective, "0.1.0") {
  using namespace antiphon::selective;
  antiphon::register_component<antiphon::Peft, Selective>(registrar, "selective",
                                                          "some of a part's own parameters, whole", selective_table());
}
