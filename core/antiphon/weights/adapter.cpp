#include <antiphon/weights/adapter.h>

#include <unordered_map>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>
#include <antiphon/base/paths.h>
#include <antiphon/base/strings.h>
#include <antiphon/component/adapter_file.h>
#include <antiphon/weights/json_file.h>
#include <antiphon/weights/shared_matrices.h>

namespace antiphon::weights {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::string_view config_name = "adapter_config.json", tensors_name = "adapter_model.safetensors";

// The path of an adapter's parameter in the Hugging Face model. Rules name whole parameters ("{}.q_proj.weight"), so
// the longest leading part that is a module with a weight is translated.
std::string checkpoint_path(const std::string& name, const NameMap& map) {
  if (map.rules.empty()) return name;
  for (size_t dot = name.rfind('.'); dot != std::string::npos && dot > 0; dot = name.rfind('.', dot - 1)) {
    const auto renamed = map.to_checkpoint(name.substr(0, dot) + ".weight");
    if (renamed && renamed->ends_with(".weight")) return renamed->substr(0, renamed->size() - 7) + name.substr(dot);
  }
  fail(ErrorKind::weights, fmt::format("the adapter's parameter '{}' has no name in the Hugging Face model", name),
       "add a rule for its layer to the component's name map");
}

// Whether two names of a module's parameter may be one: PEFT names it by the module that it was given, which may be the
// part alone or lie within another.
bool same_end(std::string_view a, std::string_view b) { return a != b && (ends_in(a, b) || ends_in(b, a)); }

using Texts = std::unordered_map<std::string, std::string>;

// The one parameter whose name ends alike; empty if there is none or there are several.
std::string alike(const std::string& key, const Texts& parameters) {
  std::string found;
  for (const auto& [name, parameter] : parameters) {
    if (!key.starts_with(kPeftPrefix) ||
        !same_end(std::string_view(key).substr(kPeftPrefix.size()), std::string_view(name).substr(kPeftPrefix.size())))
      continue;
    if (!found.empty()) return {};
    found = parameter;
  }
  return found;
}

// A table that PEFT wrote beside its change is of another model if it is not the part's.
void check_copy(const Checkpoint& file, const std::string& key, const Parameter& parameter) {
  const auto& own = *parameter.tensor;
  if (own.is_meta() || own.numel() == 0) return;  // it is kept in another form, or by another process
  const auto copy = file.tensor(key);
  const auto sizes = parameter.whole_sizes();
  const bool same_sizes = copy.sizes() == sizes;
  if (same_sizes && at::equal(parameter.part_of(copy).to(own.scalar_type()), own.detach().to(at::kCPU))) return;
  if (copy.dim() == 2 && sizes.size() == 2 && copy.size(1) == sizes[1] && copy.size(0) > sizes[0])
    fail(ErrorKind::weights,
         fmt::format("{}: '{}' has {} rows, one for each token, and the model's table has {}: tokens were added before "
                     "it was trained",
                     file.path().string(), key, copy.size(0), sizes[0]),
         "save the model as it was then (resize_token_embeddings(), save_pretrained()), and name that directory in the "
         "part's `weights`");
  fail(ErrorKind::weights,
       fmt::format("{}: '{}' [{}] {} the model's [{}]", file.path().string(), key, fmt::join(copy.sizes(), ", "),
                   same_sizes ? "has other values than" : "is of another shape than", fmt::join(sizes, ", ")),
       same_sizes ? "say modules_to_save if it was trained as a whole; otherwise name the directory that the adapter "
                    "was trained on in the part's `weights`"
                  : "name the directory that the adapter was trained on in the part's `weights`");
}

// Tensors that are one in the model: `repeated` has for each what the first means, `keys` the file's key of both.
void check_repeated(const Checkpoint& file, const Texts& repeated, const Texts& keys) {
  for (const auto& [again, first] : repeated) {
    const auto second = keys.find(again), own = keys.find(first);
    if (second == keys.end() || own == keys.end()) continue;
    const auto a = file.tensor(own->second), b = file.tensor(second->second);
    if (a.sizes() == b.sizes() && at::equal(a, b)) continue;
    fail(ErrorKind::weights,
         fmt::format("{}: '{}' and '{}' differ, and are one in this model", file.path().string(), own->second,
                     second->second),
         "name the directory that the adapter was trained on in the part's `weights`");
  }
}

// PEFT's keys for the adapter's parameters, and those of the file's keys that mean the same.
NameMap exact_names(Peft& peft, const Checkpoint& file, const NameMap& map, const std::vector<Parameter>& of_part) {
  NameMap exact;
  Texts parameters;
  std::unordered_map<std::string, Parameter> copies;
  const auto add = [&](const std::string& key, const std::string& name) {
    exact.rules.push_back({key, name});
    parameters.emplace(key, name);
  };
  for (const auto& parameter : peft.module().parameters())
    add(peft.key_of(checkpoint_path(parameter.name, map)), parameter.name);
  for (const auto& parameter : of_part) add(peft.key_of(parameter.name), parameter.name);
  for (const auto& copy : peft.copies_of_part())
    if (parameters.emplace(copy.name, copy.name).second) copies.emplace(copy.name, copy);
  Texts repeated, keys;  // see Peft; of the file, by what they mean
  for (const auto& [again, first] : peft.repeated_keys())
    if (parameters.emplace(again, again).second) repeated.emplace(again, parameters.at(first));
  for (const auto& key : file.names()) {
    const auto plain = without_adapter_name(key);
    std::string meant;
    for (const auto& name : {key, plain, alone(plain)})
      if (const auto found = parameters.find(name); meant.empty() && found != parameters.end()) meant = found->second;
    if (meant.empty()) meant = alike(plain, parameters);
    if (meant.empty()) continue;
    keys.emplace(meant, key);
    if (const auto copy = copies.find(meant); copy != copies.end())
      check_copy(file, key, copy->second), exact.ignored.push_back(key);
    else if (repeated.contains(meant))
      exact.ignored.push_back(key);
    else if (!parameters.contains(key))
      exact.rules.push_back({key, meant});
  }
  check_repeated(file, repeated, keys);
  return exact;
}

bool has_virtual_tokens(const Peft& peft) { return peft.prompt_tokens() + peft.prefix_tokens() > 0; }

// The method's parameters and those that it trains of the part.
class BothModules : public Module {
 public:
  BothModules(Module& method, const std::vector<Parameter>& of_part) {
    add("", method);
    for (const auto& parameter : of_part) adopt(parameter);
  }
};

// A setting that is absent, null, false or empty is off.
json setting(const json& config, const std::string& key) {
  const auto found = config.find(key);
  const bool off =
      found == config.end() || found->is_null() || *found == false || (found->is_structured() && found->empty());
  return off ? json() : *found;
}

// Settings that change what the adapter computes without changing all its shapes.
void check_same(const json& file, const json& attached, std::vector<std::string> keys, const fs::path& path) {
  keys.insert(keys.begin(), kPeftMethod);
  for (const auto& key : keys) {
    const auto got = setting(file, key), expected = setting(attached, key);
    if (got == expected) continue;
    fail(ErrorKind::weights,
         fmt::format("{}: {} is {}, but the attached adapter has {}", path.string(), key, got.dump(), expected.dump()),
         "configure the adapter as it was trained");
  }
}

}  // namespace

// Where transformers puts a language model within a whole one, by version and class, and on its own.
std::string alone(const std::string& key) {
  constexpr std::pair<std::string_view, std::string_view> places[] = {{"model.language_model.lm_head.", "lm_head."},
                                                                      {"model.language_model.", "model."},
                                                                      {"language_model.model.", "model."},
                                                                      {"language_model.lm_head.", "lm_head."},
                                                                      {"language_model.", "model."},
                                                                      {"layers.", "model.layers."}};
  if (!key.starts_with(kPeftPrefix)) return key;
  for (const auto& [within, own] : places)
    if (std::string_view(key).substr(kPeftPrefix.size()).starts_with(within))
      return kPeftPrefix + std::string(own) + key.substr(kPeftPrefix.size() + within.size());
  return key;
}

AdapterFile adapter_file(const std::string& path, Peft& peft, const NameMap& map, const std::vector<Parameter>& of_part,
                         const std::optional<StackedPart>& stacks) {
  NamedTensors tensors;
  if (has_virtual_tokens(peft)) {
    c10::AutoGradMode no_grad(false);
    tensors.emplace_back(kPeftPrompt, peft.prompt_embeddings().contiguous());
  } else {
    for (const auto& [name, tensor] : peft.file_tensors())
      tensors.emplace_back(peft.key_of(checkpoint_path(name, map)), tensor);
    for (const auto& parameter : of_part) tensors.emplace_back(peft.key_of(parameter.name), *parameter.tensor);
  }
  if (tensors.empty()) fail(ErrorKind::weights, "no adapter is attached, so none can be saved to " + path);
  AdapterFile file{path, std::move(tensors), peft.adapter_config()};
  return stacks && !has_virtual_tokens(peft) ? stacked_adapter(std::move(file), peft, *stacks) : file;
}

void write_adapter(const fs::path& folder, AdapterFile file, const std::string& base_model) {
  if (!base_model.empty()) file.config[kPeftBaseModel] = base_model;
  make_folder(folder, ErrorKind::weights);
  save_safetensors(folder / tensors_name, file.tensors, {{"format", "pt"}});
  write_json(folder / config_name, file.config);
}

void save_adapter(const fs::path& folder, Peft& peft, const std::string& base_model, const NameMap& map,
                  const std::vector<Parameter>& of_part, const std::optional<StackedPart>& stacks) {
  write_adapter(folder, adapter_file(folder.string(), peft, map, of_part, stacks), base_model);
}

std::string adapter_config_path(const fs::path& folder) { return (folder / config_name).string(); }

AdapterFiles adapter_files(const fs::path& folder) {
  if (!path_exists(folder / config_name, ErrorKind::weights))
    fail(ErrorKind::weights, folder.string() + " has no adapter_config.json", "give the folder of a PEFT adapter");
  return {folder, read_json_object(folder / config_name)};
}

std::shared_ptr<const Checkpoint> adapter_tensors(const fs::path& folder) {
  const auto tensors = folder / tensors_name, old = folder / "adapter_model.bin";
  const bool is_old = !path_exists(tensors, ErrorKind::weights) && path_exists(old, ErrorKind::weights);
  return std::make_shared<const Checkpoint>(is_old ? old : tensors);
}

LoadReport load_adapter(const fs::path& folder, Peft& peft, const NameMap& map, const LoadOptions& options,
                        const std::vector<Parameter>& of_part, const std::optional<StackedPart>& stacks) {
  return load_adapter(adapter_files(folder), peft, map, options, of_part, stacks);
}

LoadReport load_adapter(AdapterFiles files, Peft& peft, const NameMap& map, const LoadOptions& options,
                        const std::vector<Parameter>& of_part, const std::optional<StackedPart>& stacks) {
  auto& written = files.config;
  const auto path = adapter_config_path(files.folder);
  const auto check_settings = [&] {
    check_same(written, peft.adapter_config(), peft.compared_keys(), path);
    check_keys(JsonTable(written, path), peft.config_keys());
  };
  const bool stacked = stacks && has_stacks(stacks->names);
  if (!stacked) check_settings();
  if (!files.tensors) files.tensors = adapter_tensors(files.folder);
  const auto source =
      own_beginnings(stacked ? unstacked_adapter(files.tensors, written, peft, *stacks) : files.tensors, peft);
  if (stacked) check_settings();
  const auto& file = *source;
  const auto names = has_virtual_tokens(peft) ? NameMap{{{kPeftPrompt, peft.prompt_parameter()}}, {}, {}}
                                              : exact_names(peft, file, map, of_part);
  BothModules all(peft.module(), of_part);
  return load_parameters(all, file, names, options);
}

}  // namespace antiphon::weights
