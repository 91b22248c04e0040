#include <antiphon/run/stages.h>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/names.h>
#include <antiphon/base/strings.h>
#include <antiphon/checkpoint/checkpoint.h>
#include <antiphon/config/keys.h>
#include <antiphon/config/path.h>
#include <antiphon/model/origin.h>
#include <antiphon/model/whole_model.h>
#include <antiphon/run/run_config.h>

#include <algorithm>
#include <filesystem>

namespace antiphon::run {
namespace {

using config::at_path, config::text_at, config::Value;

const Value::Array* stages_of(const Value& root) {
  const auto* stages = root.find("stage");
  return stages ? stages->get_if<Value::Array>() : nullptr;
}

[[noreturn]] void fail_at(const Value& where, const std::string& message, const std::string& remedy) {
  const auto place = where.where.str();
  fail(ErrorKind::config, place.empty() ? message : place + ": " + message, remedy);
}

void refuse_misspelt_name(const Value& stage) {
  const auto* keys = stage.get_if<Value::Table>();
  if (!keys || keys->contains("name")) return;
  auto known = config::keys_of(run_table());
  known.push_back("name");
  config::Problems problems;
  for (const auto& [key, value] : *keys)
    if (nearest(key, known) == "name")
      config::report_unknown(run_table(), {"name"}, key, value.where, "stage", problems);
  problems.throw_if_any();
}

struct Slot {
  std::string path;
  bool learns = false;  // unless `trainable` says otherwise
};

void add_slots(Value& root, const Slot& slot, std::vector<Slot>& slots) {
  auto* value = at_path(root, slot.path);
  if (!value) return;
  auto* list = value->get_if<Value::Array>();
  if (!list) return slots.push_back(slot);
  for (size_t i = 0; i < list->size(); ++i) slots.push_back({fmt::format("{}.{}", slot.path, i), slot.learns});
}

// All slots of the model: "model.llm", "model.llm.peft.0", "model.streams.image.encoder", …
std::vector<Slot> slots_of(Value& root) {
  std::vector<Slot> slots;
  add_slots(root, {"model.llm"}, slots);
  if (auto* streams = at_path(root, "model.streams"); streams && streams->get_if<Value::Table>())
    for (const auto& [name, stream] : *streams->get_if<Value::Table>())
      for (const std::string part : {"encoder", "connector"})
        add_slots(root, {fmt::format("model.streams.{}.{}", name, part), part == "connector"}, slots);
  add_slots(root, {"model.head", true}, slots);
  const auto bare = slots;
  for (const auto& slot : bare) add_slots(root, {slot.path + ".peft", true}, slots);
  return slots;
}

bool learns(Value& part, const Slot& slot) {
  const auto* trainable = at_path(part, "trainable");
  const auto* said = trainable ? trainable->get_if<bool>() : nullptr;
  return said ? *said : slot.learns;
}

Value configuration_of(const Value& root, size_t index, const std::vector<std::string>& sets) {
  auto own = root;
  auto& table = *own.get_if<Value::Table>();
  auto overlay = (*stages_of(root))[index];
  const auto name = text_at(overlay, "name");
  overlay.get_if<Value::Table>()->erase("name");
  const bool own_output = at_path(overlay, "train.output") != nullptr;
  table.erase("stage");
  config::merge(own, overlay);
  for (const auto& assignment : sets) config::apply_set(own, assignment);
  if (auto* output = at_path(own, "train.output"); output && output->get_if<std::string>() && !own_output) {
    auto& folder = *output->get_if<std::string>();
    folder = (std::filesystem::path(folder) / name).string();
  }
  if (auto* model = at_path(own, "model"); model && model->get_if<Value::Table>()) model::expand_from(*model);
  return own;
}

// A method of fine-tuning may train some of the part's own parameters: then they are in the run's checkpoint.
bool has_trained(const Value& stage, const Slot& slot) {
  const auto newest =
      checkpoint::latest_checkpoint(std::filesystem::path(text_at(stage, "train.output")) / "checkpoints");
  const auto part = slot.path.substr(std::string_view("model.").size());
  return newest && !checkpoint::parameters_of(*newest, part + "/").names().empty();
}

bool has_learnt(std::vector<Value>& earlier, const Slot& slot, const std::string& plugin) {
  return std::ranges::any_of(earlier, [&](Value& stage) {
    auto* part = at_path(stage, slot.path);
    if (!part || text_at(*part, "plugin") != plugin) return false;
    return learns(*part, slot) || (at_path(*part, "peft") && has_trained(stage, slot));
  });
}

// What an earlier stage has trained comes from the run of the stage before, which says where it took it from if it did
// not train it itself.
void go_on(Value& own, std::vector<Value> earlier, Value overlay) {
  const auto run = text_at(earlier.back(), "train.output");
  if (!model::is_run(run)) return;
  for (const auto& slot : slots_of(own)) {
    auto& part = *at_path(own, slot.path);
    auto* table = part.get_if<Value::Table>();
    if (!table || !at_path(earlier.back(), slot.path) || at_path(overlay, slot.path + ".weights")) continue;
    if (!has_learnt(earlier, slot, text_at(part, "plugin"))) continue;
    (*table)["weights"] = run;
    table->erase("part");
  }
}

}  // namespace

std::vector<std::string> stage_names(const Value& root) {
  std::vector<std::string> names;
  const auto* value = root.find("stage");
  if (!value) return names;
  const std::string remedy = "write [[stage]], name = \"align\", and the tables that differ below [stage.train], …";
  if (!stages_of(root)) fail_at(*value, "stage is not a list of tables", remedy);
  for (auto stage : *stages_of(root)) {
    refuse_misspelt_name(stage);
    const auto name = stage.get_if<Value::Table>() ? text_at(stage, "name") : "";
    if (name.empty()) fail_at(stage, "a stage has no name", remedy);
    if (!is_file_name(name)) fail_at(stage, fmt::format("'{}' cannot be a stage's name", name), name_rule());
    if (std::ranges::count(names, name)) fail_at(stage, fmt::format("two stages are called '{}'", name), remedy);
    names.push_back(name);
  }
  return names;
}

void select_stage(Value& root, const std::string& name, const std::vector<std::string>& sets) {
  const auto names = stage_names(root);
  const auto place = static_cast<size_t>(std::ranges::find(names, name) - names.begin());
  if (place == names.size() && !name.empty())
    fail(ErrorKind::config, fmt::format("there is no stage '{}'", name),
         names.empty() ? "the file has no [[stage]]" : "its stages are: " + join(names, ", "));
  if (names.empty()) {
    for (const auto& assignment : sets) config::apply_set(root, assignment);
    return;
  }
  const size_t index = name.empty() ? names.size() - 1 : place;
  auto own = configuration_of(root, index, sets);
  std::vector<Value> earlier;
  for (size_t i = 0; i < index; ++i) earlier.push_back(configuration_of(root, i, sets));
  if (index > 0) go_on(own, std::move(earlier), (*stages_of(root))[index]);
  root = std::move(own);
}

}  // namespace antiphon::run
