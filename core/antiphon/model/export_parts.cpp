#include <antiphon/model/export_parts.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>
#include <antiphon/model/whole_model.h>
#include <antiphon/weights/export.h>
#include <antiphon/weights/json_file.h>
#include <antiphon/weights/stacked.h>

#include <set>

namespace antiphon::model {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// The names that a checkpoint of its own gives to a part: those it takes, and those that it leaves beside them.
// A file of a larger model has a prefix before the part's names, and other parts beside it.
std::set<std::string> own_names(const weights::Checkpoint& checkpoint, const NameMap& names) {
  const auto first = [](const std::string& name) { return name.substr(0, name.find('.')); };
  std::set<std::string> prefixes, all;
  for (const auto& name : checkpoint.names())
    if (!names.ignores(name)) prefixes.insert(first(name));
  for (const auto& name : checkpoint.names())
    if (prefixes.size() != 1 || prefixes.contains(first(name))) all.insert(name);
  return all;
}

const char* dtype_name(at::ScalarType dtype) {
  if (dtype == at::kBFloat16) return "bfloat16";
  if (dtype == at::kHalf) return "float16";
  return dtype == at::kDouble ? "float64" : "float32";
}

}  // namespace

std::vector<Place> places_of(Model& model) {
  const auto parts = model.parts();
  const auto slots = slots_of(model);
  std::vector<Place> all;
  for (size_t i = 0; i < parts.size(); ++i) all.push_back({parts[i], slots[i]});
  return all;
}

const Place* place_at(const std::vector<Place>& places, const std::string& path) {
  for (const auto& place : places)
    if (place.part.path == path) return &place;
  return nullptr;
}

NameMap only(const std::vector<NameRule>& rules) { return {rules, {}, {}}; }

void add_own(ExportTensors& tensors, const Part& part, const Rename& rename) {
  if (part.weights.empty()) return;
  const auto source =
      weights::unstacked(std::make_shared<const weights::Checkpoint>(part.weights), part.names, *part.module);
  const auto own = own_names(*source, part.names);
  const auto whole = only(part.names.whole);
  tensors.add(part, source, [&](const std::string& name) -> std::optional<std::string> {
    if (part.part.empty()) return own.contains(name) ? rename(name) : std::nullopt;
    const auto plain = whole.to_parameter(name);
    return plain ? rename(*plain) : std::nullopt;
  });
}

std::optional<std::string> as_it_is(const std::string& name) { return name; }

json own_config(const Part& part, const std::string& key) {
  const auto config = pretrained_for(part.weights, part.part).config.json();
  if (config.is_null())
    fail(ErrorKind::weights, fmt::format("{} has no config.json to write for it", part.path),
         "give it the weights of a Hugging Face directory");
  const auto half = config.find(key);
  return half == config.end() ? config : *half;
}

// `dtype` since transformers 4.56, `torch_dtype` before; all versions read the latter.
void set_dtype(json& config, at::ScalarType dtype, bool always) {
  if (config.contains("dtype")) config["dtype"] = dtype_name(dtype);
  if (config.contains("torch_dtype") || (always && !config.contains("dtype")))
    config["torch_dtype"] = dtype_name(dtype);
}

void set_tied(json& config, const config::Value& options) {
  const auto* tied = options.find("tie_embeddings");
  if (tied && tied->get_if<bool>()) config["tie_word_embeddings"] = *tied->get_if<bool>();
}

void copy_processor(const fs::path& from, const fs::path& folder) {
  weights::copy_files(from, folder,
                      {"preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json"});
}

ExportTensors connector_tensors(const Part& part, std::optional<at::ScalarType> dtype) {
  ExportTensors tensors(dtype);
  const NameMap own{part.names.rules, part.names.ignored, {}};
  add_own(tensors, part, [&](const std::string& n) { return own.ignores(n) ? std::nullopt : std::optional(n); });
  tensors.add_rest(part, own);
  return tensors;
}

ExportTensors write_encoder(const Part& part, const fs::path& folder, std::optional<at::ScalarType> dtype) {
  ExportTensors tensors(dtype);
  add_own(tensors, part, as_it_is);
  tensors.add_rest(part, only(part.names.rules));
  weights::save_checkpoint(folder, tensors.tensors());
  if (part.weights.empty()) return tensors;
  auto config = own_config(part, "");
  set_dtype(config, tensors.dtype(), true);
  weights::write_json(folder / "config.json", config);
  copy_processor(part.weights, folder);
  return tensors;
}

}  // namespace antiphon::model
