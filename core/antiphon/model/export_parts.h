// Parts of a model that is written, by the names of the directories that they came from. Used inside this area.
#pragma once
#include <filesystem>
#include <functional>
#include <optional>

#include <nlohmann/json_fwd.hpp>

#include <antiphon/model/export_tensors.h>
#include <antiphon/model/part_slot.h>

namespace antiphon::model {

// A part with its slot.
struct Place {
  Part part;
  PartSlot slot;
};
std::vector<Place> places_of(Model& model);
const Place* place_at(const std::vector<Place>& places, const std::string& path);  // nullptr: none

NameMap only(const std::vector<NameRule>& rules);

// The tensors of a part by the names of a checkpoint of its own, each through `rename`; nothing without weights.
using Rename = std::function<std::optional<std::string>(const std::string& name)>;
void add_own(ExportTensors& tensors, const Part& part, const Rename& rename);
std::optional<std::string> as_it_is(const std::string& name);

// What a part's own directory says of it. Error(weights) if it says nothing.
nlohmann::json own_config(const Part& part, const std::string& key);
// `always`: if neither key is there, too.
void set_dtype(nlohmann::json& config, at::ScalarType dtype, bool always);
// As the options in force say: the checkpoint may have decided otherwise than its config.json.
void set_tied(nlohmann::json& config, const config::Value& options);
// The files that say how media go in.
void copy_processor(const std::filesystem::path& from, const std::filesystem::path& folder);

ExportTensors connector_tensors(const Part& part, std::optional<at::ScalarType> dtype);
// Its folder, like the one that it came from.
ExportTensors write_encoder(const Part& part, const std::filesystem::path& folder, std::optional<at::ScalarType> dtype);

}  // namespace antiphon::model
