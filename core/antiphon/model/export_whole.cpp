// Whole models: one directory, one of folders, or a pair of GGUF files.
#include <ATen/ATen.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>
#include <antiphon/base/paths.h>
#include <antiphon/base/strings.h>
#include <antiphon/config/path.h>
#include <antiphon/model/export_gguf.h>
#include <antiphon/model/export_unsaid.h>
#include <antiphon/model/exporter.h>
#include <antiphon/weights/export.h>
#include <antiphon/weights/gguf_mmproj.h>
#include <antiphon/weights/json_file.h>
#include <antiphon/weights/stacked.h>

namespace antiphon::model {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// Whether the composition of a directory has a part for which it needs no tensors.
bool is_said(const Part& part, const config::Value& composed) {
  return part.module->parameters().empty() && config::text_at(composed, part.path + ".plugin") == part.plugin;
}

// That of a model which transformers does not have; it is not run.
void copy_code(const fs::path& from, const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& path : entries_of(from, ErrorKind::weights))
    if (path.extension() == ".py") names.push_back(path.filename().string());
  weights::copy_files(from, folder, names);
}

}  // namespace

std::string why_not_whole(const std::vector<Place>& places, const WholeModel& whole) {
  const auto composed = whole.compose();
  std::set<std::string> slots;
  for (const auto& wanted : whole.parts()) {
    slots.insert(wanted.slot);
    const auto* place = place_at(places, wanted.slot);
    if (!place) return fmt::format("it has no [model.{}]", wanted.slot);
    const auto plugin = config::text_at(composed, wanted.slot + ".plugin");
    if (place->slot.kind == PartKind::connector && place->part.plugin != plugin)
      return fmt::format("its connector is a '{}' in place of a '{}'", place->part.plugin, plugin);
  }
  for (const auto& [part, slot] : places)
    if (slot.kind != PartKind::peft && !slots.contains(part.path) && !is_said(part, composed))
      return fmt::format("it has [model.{}], too", part.path);
  return {};
}

// The tower's own say, of which the whole's file would know nothing; that of a whole model says more than it should.
void Exporter::write_swapped_processor() const {
  for (const auto* name : {"processor_config.json", "preprocessor_config.json", "video_preprocessor_config.json"})
    remove_file(output_ / name, ErrorKind::weights);
  const auto own = pretrained_for(processor_, "");
  const auto write = [&](const JsonTable& table, const char* name) {
    if (table.exists()) weights::write_json(output_ / name, table.json());
  };
  write(own.preprocessor, "preprocessor_config.json"), write(own.video_preprocessor, "video_preprocessor_config.json");
}

// A part that came from another directory than the whole's, or from none.
void Exporter::add_swapped(const Part& part, const WholePart& place, json& config) {
  const auto names = only(place.names);
  add_own(tensors_, part, [&](const std::string& name) { return names.to_checkpoint(name); });
  NameMap map = part.names;
  map.whole = place.names;
  tensors_.add_rest(part, map);
  if (!place.config_key.empty()) config[place.config_key] = own_config(part, place.config_key);
}

// What no part has a name for. If the family has gone into a part of what config.json describes, such as the thinker of
// Qwen2.5-Omni, what stands beside that part in the file is left out.
void Exporter::copy_rest(const WholeModel& whole, const std::shared_ptr<const weights::Checkpoint>& source,
                         const std::set<std::string>& owned) {
  const auto type = [](const json& config) { return config.value("model_type", ""); };
  const bool larger = type(weights::read_pretrained_config(llm_.weights).config.json()) != type(whole.config());
  const auto first = [](const std::string& name) { return name.substr(0, name.find('.')); };
  std::set<std::string> heads;
  for (const auto& name : owned) heads.insert(first(name));
  for (const auto& name : source->names())
    if (larger && !heads.contains(first(name)))
      ++left_out_[first(name)];
    else if (!owned.contains(name))
      tensors_.copy("", name, source, name);
}

// Its tensors under their names there, and its config.json.
json Exporter::add_whole(const WholeModel& whole) {
  auto config = whole.config();
  auto source = std::make_shared<const weights::Checkpoint>(llm_.weights);
  processor_ = llm_.weights;
  std::set<std::string> owned;
  for (const auto& place : whole.parts()) {
    const auto& [part, slot] = *place_at(places_, place.slot);
    const auto names = only(place.names);
    for (const auto& name : source->names())
      if (names.to_parameter(name)) owned.insert(name);
    if (part.part != place.name || part.weights != llm_.weights) {
      add_swapped(part, place, config);
      if (slot.kind == PartKind::encoder) processor_ = part.weights;
      continue;
    }
    tensors_.add(part, weights::unstacked(source, part.names, *part.module), [&](const std::string& name) {
      return names.to_parameter(name) ? std::optional(name) : std::nullopt;
    });
    tensors_.add_rest(part, part.names);
  }
  copy_rest(whole, source, owned);
  for (const auto& place : whole.parts())
    if (!place.config_key.empty()) set_dtype(config[place.config_key], tensors_.dtype(place.slot), false);
  set_dtype(config, tensors_.dtype(), true);
  set_tied(config, *places_.front().slot.options);
  whole.family().describe(model_table().dump(&model_.spec()), config);
  return config;
}

ExportReport Exporter::export_whole(const WholeModel& whole) {
  const auto config = add_whole(whole);
  write_directory(output_, config);
  copy_processor(llm_.weights, output_);
  copy_code(llm_.weights, output_);
  if (processor_ != llm_.weights) write_swapped_processor();
  std::vector<std::string> left_out;
  for (const auto& [name, count] : left_out_) left_out.push_back(fmt::format("{} tensors of {}", count, name));
  auto made = report(fmt::format("a {} model", config.value("model_type", "")),
                     left_out.empty() ? "" : "left out: " + join(left_out, ", "));
  made.unsaid = left_unsaid(model_, output_);
  return made;
}

// The language model, and beside it what turns pictures into its embeddings.
ExportReport Exporter::export_gguf_pair(const WholeModel& whole) {
  const auto config = add_whole(whole);
  const auto& place = whole.part(llm_.part);
  const auto names = only(place.names);
  weights::LazyTensors own;
  for (auto tensor : tensors_.tensors())
    if (const auto plain = names.to_parameter(tensor.name)) tensor.name = *plain, own.push_back(std::move(tensor));
  auto text = whole.pretrained(place).config.json();
  set_tied(text, *places_.front().slot.options);
  const auto beside = output_.parent_path() / fmt::format("mmproj-{}", output_.filename().string());
  const auto mmproj = weights::gguf_mmproj(config, weights::read_pretrained_config(processor_).preprocessor.json(),
                                           tensors_.tensors(), *options_.gguf);
  const auto how = write_gguf(output_, text, own, *options_.gguf, model_.spec().llm);
  weights::save_gguf(beside, mmproj.metadata, mmproj.tensors);
  return report(fmt::format("a {} language model {}", text.value("model_type", ""), how),
                fmt::format("beside it: {}, for --mmproj", beside.filename().string()));
}

// Each part into the folder that its directory has for it, and the file that says how they go together.
ExportReport Exporter::export_folders(const WholeModel& whole) {
  const auto composed = whole.compose();
  auto config = whole.config();
  ExportReport all{0, 0, fmt::format("a {} model in folders", config.value("model_type", "")), ""};
  const auto count = [&](const ExportTensors& written) {
    all.tensors += written.tensors().size(), all.changed += written.changed();
  };
  for (const auto& wanted : whole.parts()) {
    const auto& [part, slot] = *place_at(places_, wanted.slot);
    const auto from = fs::path(config::text_at(composed, wanted.slot + ".weights"));
    const auto folder = output_ / from.filename();
    if (slot.kind == PartKind::llm) {
      write_directory(folder, add_language_model());
      count(tensors_);
    } else if (slot.kind == PartKind::encoder) {
      count(write_encoder(part, folder, options_.dtype));
    } else {
      const auto tensors = connector_tensors(part, options_.dtype);
      weights::save_checkpoint(folder, tensors.tensors());
      weights::copy_files(from, folder, {"config.json"});
      count(tensors);
    }
    if (!wanted.config_key.empty()) config[wanted.config_key] = weights::read_json_object(folder / "config.json");
  }
  whole.family().describe(model_table().dump(&model_.spec()), config);
  weights::write_json(output_ / "config.json", config);
  return all;
}

}  // namespace antiphon::model
