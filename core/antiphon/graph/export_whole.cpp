#include <antiphon/graph/export_whole.h>

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>
#include <antiphon/graph/whole_model.h>
#include <antiphon/weights/checkpoint.h>
#include <antiphon/weights/export.h>
#include <antiphon/weights/json_file.h>
#include <antiphon/weights/load.h>

#include <set>

namespace antiphon::graph {
namespace {

namespace fs = std::filesystem;
using Parameters = std::map<std::string, at::Tensor>;

const Part& part_at(const std::vector<Part>& parts, const WholePart& wanted) {
  for (const auto& part : parts)
    if (part.path == wanted.slot) return part;
  fail(ErrorKind::config,
       fmt::format("the model has no part at [model.{}], which is the {} of the whole", wanted.slot, wanted.name),
       "`antiphon compose` prints all parts of the family");
}

Parameters parameters_of(const Part& part) {
  Parameters all;
  for (const auto& parameter : part.module->parameters()) all[parameter.name] = parameter.tensor->detach().to(at::kCPU);
  return all;
}

// The names that a checkpoint of its own gives to this part: those it takes, and those that it leaves beside them.
// A file of a larger model has a prefix before the part's names, and other parts beside it.
std::vector<std::string> own_names(const weights::Checkpoint& checkpoint, const NameMap& names) {
  std::set<std::string> first;
  for (const auto& name : checkpoint.names())
    if (!names.ignores(name)) first.insert(name.substr(0, name.find('.')));
  std::vector<std::string> all;
  for (const auto& name : checkpoint.names())
    if (first.size() != 1 || first.contains(name.substr(0, name.find('.')))) all.push_back(name);
  return all;
}

class Writer {
 public:
  // A part that came out of the whole model's directory, or out of another.
  void add(const Part& part, const WholePart& place) {
    auto parameters = parameters_of(part);
    if (!part.weights.empty()) {
      const weights::Checkpoint checkpoint(part.weights);
      const bool own = part.part.empty();
      for (const auto& name : own ? own_names(checkpoint, part.names) : checkpoint.names()) {
        const auto written = own ? placed(name, place) : taken(name, place);
        if (!written) continue;
        const auto parameter = part.names.to_parameter(name);
        const bool used = parameter && parameters.contains(*parameter) && !part.names.ignores(name);
        write(*written, checkpoint.tensor(name), used ? &parameters.at(*parameter) : nullptr);
        if (used) parameters.erase(*parameter);
      }
    }
    NameMap own = part.names;
    own.whole = place.names;
    for (const auto& [name, tensor] : parameters) write(own.to_checkpoint(name).value(), tensor, &tensor);
  }

  weights::NamedTensors tensors;
  size_t changed = 0;

 private:
  static std::optional<std::string> placed(const std::string& name, const WholePart& place) {
    return NameMap{place.names, {}, {}}.to_checkpoint(name);
  }
  static std::optional<std::string> taken(const std::string& name, const WholePart& place) {
    return NameMap{place.names, {}, {}}.to_parameter(name) ? std::optional(name) : std::nullopt;
  }
  void write(const std::string& name, const at::Tensor& source, const at::Tensor* now) {
    const auto value = now ? now->to(source.scalar_type()) : source;
    const bool same = !now || at::equal(value, source);
    tensors.emplace_back(name, same ? source : value);
    changed += !same;
  }
};

// What a swapped part's own directory says of it.
nlohmann::json own_config(const Part& part, const WholePart& place) {
  const auto config =
      part.weights.empty() ? nlohmann::json() : weights::read_pretrained_config(part.weights).config.json();
  if (config.is_null())
    fail(ErrorKind::weights, fmt::format("{} has no config.json to write for it", part.path),
         "give it the weights of a Hugging Face directory");
  const auto half = config.find(place.config_key);
  return half == config.end() ? config : *half;
}

}  // namespace

ExportReport export_whole(MultimodalLm& model, const fs::path& output) {
  const auto& llm = model.spec().llm;
  if (llm.part.empty())
    fail(ErrorKind::config, "the model's parts come out of no whole model's directory, so there is no format to write",
         "`antiphon merge` writes its language model; start from [model] from = \"DIRECTORY\" for a whole one");
  const WholeModel whole(llm.weights);
  Writer writer;
  auto config = whole.config();
  fs::path encoder = llm.weights;
  const auto parts = model.parts();
  for (const auto& place : whole.parts()) {
    const auto& part = part_at(parts, place);
    writer.add(part, place);
    if (part.part == place.name || place.config_key.empty()) continue;
    config[place.config_key] = own_config(part, place);
    if (place.slot != "llm") encoder = part.weights;
  }
  whole.family().describe(model_table().dump(&model.spec()), config);
  weights::save_checkpoint(output, writer.tensors);
  weights::write_json(output / "config.json", config);
  weights::copy_tokenizer(llm.tokenizer.empty() ? llm.weights : llm.tokenizer, output);
  weights::copy_files(encoder, output, {"preprocessor_config.json"});
  if (encoder == llm.weights) weights::copy_files(encoder, output, {"processor_config.json"});
  return {writer.tensors.size(), writer.changed};
}

}  // namespace antiphon::graph
