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
#include <antiphon/model/export_tensors.h>
#include <antiphon/model/export_unsaid.h>
#include <antiphon/model/part_slot.h>
#include <antiphon/model/whole_model.h>
#include <antiphon/nn/linear/linear.h>
#include <antiphon/weights/export.h>
#include <antiphon/weights/gguf_mmproj.h>
#include <antiphon/weights/json_file.h>
#include <antiphon/weights/load.h>
#include <antiphon/weights/stacked.h>

#include <algorithm>
#include <map>
#include <set>

namespace antiphon::model {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// A part with its slot.
struct Place {
  Part part;
  PartSlot slot;
};

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

// Whether the composition of a directory has a part for which it needs no tensors.
bool is_said(const Part& part, const config::Value& composed) {
  return part.module->parameters().empty() && config::text_at(composed, part.path + ".plugin") == part.plugin;
}

// Why the model is not what its language model's directory holds; empty if it is.
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

NameMap only(const std::vector<NameRule>& rules) { return {rules, {}, {}}; }

// The tensors of a part by the names of a checkpoint of its own, each through `rename`.
template <class Rename>
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

bool has_adapters(const Part& part) {
  return std::ranges::any_of(part.module->sites(), [](const auto& site) { return !site.linear->adapters.empty(); });
}

std::optional<std::string> as_it_is(const std::string& name) { return name; }

// What a part's own directory says of it.
json own_config(const Part& part, const std::string& key) {
  const auto config = pretrained_for(part.weights, part.part).config.json();
  if (config.is_null())
    fail(ErrorKind::weights, fmt::format("{} has no config.json to write for it", part.path),
         "give it the weights of a Hugging Face directory");
  const auto half = config.find(key);
  return half == config.end() ? config : *half;
}

// The files that say how media go in.
void copy_processor(const fs::path& from, const fs::path& folder) {
  weights::copy_files(from, folder,
                      {"preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json"});
}

// That of a model which transformers does not have; it is not run.
void copy_code(const fs::path& from, const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& path : entries_of(from, ErrorKind::weights))
    if (path.extension() == ".py") names.push_back(path.filename().string());
  weights::copy_files(from, folder, names);
}

const char* dtype_name(at::ScalarType dtype) {
  if (dtype == at::kBFloat16) return "bfloat16";
  if (dtype == at::kHalf) return "float16";
  return dtype == at::kDouble ? "float64" : "float32";
}

// `dtype` since transformers 4.56, `torch_dtype` before; all versions read the latter.
void set_dtype(json& config, at::ScalarType dtype, bool always) {
  if (config.contains("dtype")) config["dtype"] = dtype_name(dtype);
  if (config.contains("torch_dtype") || (always && !config.contains("dtype")))
    config["torch_dtype"] = dtype_name(dtype);
}

// The checkpoint may have decided otherwise than its config.json.
void set_tied(json& config, const config::Value& options) {
  const auto* tied = options.find("tie_embeddings");
  if (tied && tied->get_if<bool>()) config["tie_word_embeddings"] = *tied->get_if<bool>();
}

class Exporter {
 public:
  Exporter(Model& model, const fs::path& output, const ExportOptions& options)
      : model_(model.lm()),
        pairs_(model.pairs()),
        output_(output),
        options_(options),
        places_(places_of(model)),
        llm_(places_.front().part),
        tensors_(options.dtype) {}

  ExportReport run() {
    for (const auto& place : places_)
      if (place.slot.kind == PartKind::peft && model_.in_use(place.slot.index) &&
          !model_.pefts()[place.slot.index].method->can_merge())
        fail(ErrorKind::config,
             fmt::format("[model.{}] a '{}' cannot become part of the weights", place.part.path, place.part.plugin),
             "use the adapter folders of the run beside the language model's directory");
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

 private:
  ExportReport export_whole(const WholeModel& whole);
  ExportReport export_folders(const WholeModel& whole);
  ExportReport export_language_model(const std::string& why);
  ExportReport export_gguf();
  ExportReport export_gguf_pair(const WholeModel& whole);
  json add_language_model();
  void add_scores(const Place& head, json& config);
  json add_whole(const WholeModel& whole);
  template <class Copy>
  void copy_rest(const WholeModel& whole, const weights::Checkpoint& source, const std::set<std::string>& owned,
                 const Copy& copy);
  void add_swapped(const Part& part, const WholePart& place, json& config);
  std::string add_beside();
  std::string write_beside(const Place& place);
  void write_swapped_processor() const;
  void write_directory(const fs::path& folder, json config) const;
  ExportTensors connector_tensors(const Part& part) const;
  ExportTensors write_encoder(const Part& part, const fs::path& folder) const;
  ExportReport report(std::string what, std::string beside) const {
    return {tensors_.tensors().size(), tensors_.changed(), std::move(what), std::move(beside), {}};
  }

  MultimodalLm& model_;
  bool pairs_;
  const fs::path& output_;
  const ExportOptions& options_;
  const std::vector<Place> places_;
  const Part& llm_;
  ExportTensors tensors_;
  std::map<std::string, int64_t> left_out_;  // tensors of other parts of a larger model, by the first of their names
  fs::path processor_;                       // where the files lie that say how pictures go into a whole model
};

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
template <class Copy>
void Exporter::copy_rest(const WholeModel& whole, const weights::Checkpoint& source, const std::set<std::string>& owned,
                         const Copy& copy) {
  const auto type = [](const json& config) { return config.value("model_type", ""); };
  const bool larger = type(weights::read_pretrained_config(llm_.weights).config.json()) != type(whole.config());
  const auto first = [](const std::string& name) { return name.substr(0, name.find('.')); };
  std::set<std::string> heads;
  for (const auto& name : owned) heads.insert(first(name));
  for (const auto& name : source.names())
    if (larger && !heads.contains(first(name)))
      ++left_out_[first(name)];
    else if (!owned.contains(name))
      copy(name);
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
  copy_rest(whole, *source, owned, [&](const std::string& name) { tensors_.copy("", name, source, name); });
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
      count(write_encoder(part, folder));
    } else {
      const auto tensors = connector_tensors(part);
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
                              connector_tensors(part).tensors());
    return "connectors/" + slot.stream + ".safetensors";
  }
  const auto folder = fs::path("encoders") / (slot.index ? fmt::format("{}.{}", slot.stream, slot.index) : slot.stream);
  write_encoder(part, output_ / folder);
  return folder.string();
}

ExportTensors Exporter::connector_tensors(const Part& part) const {
  ExportTensors tensors(options_.dtype);
  const NameMap own{part.names.rules, part.names.ignored, {}};
  add_own(tensors, part, [&](const std::string& n) { return own.ignores(n) ? std::nullopt : std::optional(n); });
  tensors.add_rest(part, own);
  return tensors;
}

ExportTensors Exporter::write_encoder(const Part& part, const fs::path& folder) const {
  ExportTensors tensors(options_.dtype);
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

}  // namespace

ExportReport export_model(Model& model, const fs::path& output, const ExportOptions& options) {
  return Exporter(model, output, options).run();
}

}  // namespace antiphon::model
