#include <antiphon/model/export_adapter.h>

#include <algorithm>
#include <map>
#include <ranges>
#include <set>

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>
#include <antiphon/model/exporter.h>
#include <antiphon/nn/linear/site_choice.h>
#include <antiphon/weights/adapter.h>

namespace antiphon::model {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::string_view kLora = ".lora_", kFirst = ".lora_A.weight";

[[noreturn]] void refuse(const std::string& what, const std::string& help) {
  fail(ErrorKind::config, "no adapter of PEFT can be written: " + what, help);
}

// A name of the part, or one that a file of the whole model has, as transformers has it in the whole model.
std::string in_transformers(const WholePart& place, const std::string& name) {
  for (const auto& own : {std::optional(name), only(place.names).to_parameter(name)})
    for (const auto& rule : std::views::reverse(place.names))
      if (const auto found = own ? only({rule}).to_checkpoint(*own) : std::nullopt) return *found;
  refuse(fmt::format("'{}' of {} has no name in the whole model", name, place.slot), "write a directory");
}

std::string parent_of(const std::string& name) { return name.substr(0, name.rfind('.')); }

class OneAdapter {
 public:
  // Of one part: names become those within the whole model.
  void add(const AdapterFile& file, const WholePart& place) {
    check_same(file);
    for (const auto& [key, tensor] : file.tensors) {
      const auto name = key.substr(kPeftPrefix.size());
      const auto end = name.find(kLora);
      if (end == std::string::npos) {
        add_whole(in_transformers(place, name), tensor);
        continue;
      }
      const auto site = parent_of(in_transformers(place, name.substr(0, end) + ".weight"));
      if (key.ends_with(kFirst)) add_site(site, name.substr(0, end), tensor.size(0), file.config);
      tensors_.emplace_back(kPeftPrefix + site + name.substr(end), tensor);
    }
  }

  // A parameter of a module that is trained itself.
  void add_whole(const std::string& name, const at::Tensor& tensor) {
    modules_[parent_of(name)] = name;
    tensors_.emplace_back(kPeftPrefix + name, tensor);
  }

  bool has_sites() const { return !sites_.empty(); }

  AdapterReport write(const fs::path& output, const fs::path& base) {
    config_["target_modules"] = sites_, config_["modules_to_save"] = outermost_modules();
    config_["task_type"] = nullptr;
    weights::write_adapter(output, {output.string(), tensors_, config_}, base.string());
    return {tensors_.size(), sites_.size(), config_["modules_to_save"].size(), base.string()};
  }

 private:
  // Without those that lie in another of them.
  std::vector<std::string> outermost_modules() const {
    std::vector<std::string> found;
    for (const auto& [module, parameter] : modules_) {  // in order: whatever lies in one comes after it
      const auto inside = [&](const std::string& name) { return name.starts_with(module + "."); };
      if (module == parameter || std::ranges::any_of(sites_, inside))
        refuse(fmt::format("'{}' was trained, and lies in no module of its own", parameter), "write a directory");
      const auto holds = [&, name = module](const std::string& other) { return name.starts_with(other + "."); };
      if (std::ranges::none_of(found, holds)) found.push_back(module);
    }
    return found;
  }

  // What PEFT has one value of.
  void check_same(const AdapterFile& file) {
    if (file.config.value(kPeftMethod, "") != "LORA")
      refuse(fmt::format("{} is not LoRA", file.path), "name the methods to write with --adapter");
    if (file.config.value("bias", "none") != "none")
      refuse(fmt::format("{} trains biases, too", file.path), "write a directory");
    if (config_.is_null()) {
      config_ = file.config;
      config_["rank_pattern"] = config_["alpha_pattern"] = json::object();
      return;
    }
    for (const auto* key : {"use_dora", "use_rslora"})
      if (config_[key] != file.config[key])
        refuse(fmt::format("{} of {} is {}, of another part {}", key, file.path, file.config[key].dump(),
                           config_[key].dump()),
               "name one of the methods with --adapter");
  }

  // Rank and alpha are said for each site of which they are not those of the first part.
  void add_site(const std::string& site, const std::string& own, int64_t rank, const json& config) {
    if (!sites_.insert(site).second)
      refuse(fmt::format("two methods change {}", site), "name one of them with --adapter");
    double alpha = config["lora_alpha"];
    for (const auto& [pattern, number] : config["alpha_pattern"].items())
      if (nn::NamePattern("alpha_pattern", "(?:.*\\.)?(?:" + pattern + ")").matches(own)) alpha = number;
    if (config_["r"] != rank) config_["rank_pattern"][site] = rank;
    if (config_["lora_alpha"].get<double>() != alpha) config_["alpha_pattern"][site] = alpha;
  }

  json config_;
  std::vector<std::pair<std::string, at::Tensor>> tensors_;
  std::set<std::string> sites_;
  std::map<std::string, std::string> modules_;  // a parameter of each
};

// The whole model that the language model's directory holds.
WholeModel whole_of(const std::vector<Place>& places) {
  const auto& llm = places.front().part;
  const auto* help = "the run's folder has an adapter for each part, by PEFT's names, and its connectors";
  if (llm.part.empty()) refuse("transformers has no model of all its parts", help);
  WholeModel whole(llm.weights);
  if (const auto why = why_not_whole(places, whole); !why.empty())
    refuse(fmt::format("the model is not what {} holds: {}", llm.weights, why), help);
  return whole;
}

// But for what a method trains of it, which PEFT's file has.
void check_untrained(const Part& part, const MultimodalLm& lm) {
  int64_t beside = 0;
  for (const auto& peft : lm.pefts())
    if (peft.owner == part.path)
      for (const auto& parameter : peft.also_trained()) beside += parameter.tensor->numel();
  if (part.module->trainable_count() > beside)
    refuse(fmt::format("{} was itself trained", part.path), "write a directory, which has all of it");
}

}  // namespace

AdapterReport export_adapter(Model& model, const fs::path& output) {
  const auto places = places_of(model);
  const auto whole = whole_of(places);
  const auto at_slot = [&](const std::string& slot) -> const WholePart& {
    return *std::ranges::find(whole.parts(), slot, &WholePart::slot);
  };
  OneAdapter one;
  const auto& lm = model.lm();
  for (size_t i = 0; i < lm.pefts().size(); ++i) {
    const auto& peft = lm.pefts()[i];
    if (!lm.in_use(i)) continue;
    const auto path = fmt::format("{}.peft.{}", peft.owner, peft.index);
    if (peft.tokens != TokenChoice::all)
      refuse(path + " changes some tokens only", "name the methods to write with --adapter");
    one.add(weights::adapter_file(path, *peft.method, {}, peft.also_trained(), StackedPart{peft.names, *peft.part}),
            at_slot(peft.owner));
  }
  for (const auto& [part, slot] : places)
    if (slot.kind == PartKind::llm || slot.kind == PartKind::encoder) check_untrained(part, lm);
  if (!one.has_sites()) refuse("the model has none", "write a directory");
  for (const auto& [part, slot] : places) {
    if (slot.kind != PartKind::connector || part.module->trainable_count() == 0) continue;
    const auto& wanted = at_slot(part.path);
    for (const auto& parameter : part.module->parameters())
      if (!parameter.fixed) one.add_whole(in_transformers(wanted, parameter.name), *parameter.tensor);
  }
  return one.write(output, whole.directory());
}

}  // namespace antiphon::model
