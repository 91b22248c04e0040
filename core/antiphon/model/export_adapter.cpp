#include <antiphon/model/export_adapter.h>

#include <algorithm>

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>
#include <antiphon/model/export_unsaid.h>
#include <antiphon/model/exporter.h>
#include <antiphon/model/one_adapter.h>
#include <antiphon/weights/adapter.h>

namespace antiphon::model {
namespace {

namespace fs = std::filesystem;

// The whole model that the language model's directory holds.
WholeModel whole_of(const std::vector<Place>& places) {
  const auto& llm = places.front().part;
  const auto* help = "the run's folder has an adapter for each part, by PEFT's names, and its connectors";
  if (llm.part.empty()) refuse_adapter("transformers has no model of all its parts", help);
  WholeModel whole(llm.weights);
  if (const auto why = why_not_whole(places, whole); !why.empty())
    refuse_adapter(fmt::format("the model is not what {} holds: {}", llm.weights, why), help);
  return whole;
}

// Whether its values are not those of the whole model's directory, but for `beside` of them.
bool is_changed(const Place& place, const WholePart& wanted, const Part& llm, int64_t beside = 0) {
  const auto& [part, slot] = place;
  return part.weights != llm.weights || part.part != wanted.name || part.module->trainable_count() > beside ||
         !trained_parts(slot.origin, part.path).empty();
}

// But for what a method trains of it, which PEFT's file has.
void check_untrained(const Place& place, const WholePart& wanted, const Part& llm, const MultimodalLm& lm) {
  int64_t beside = 0;
  for (const auto& peft : lm.pefts())
    if (peft.owner == place.part.path)
      for (const auto& parameter : peft.also_trained()) beside += parameter.tensor->numel();
  if (is_changed(place, wanted, llm, beside))
    refuse_adapter(fmt::format("{} was itself trained, or comes from elsewhere", place.part.path),
                   "write a directory, which has all of it");
}

// nullptr: the whole model's directory has none there.
const WholePart* part_at(const WholeModel& whole, const std::string& slot) {
  const auto found = std::ranges::find(whole.parts(), slot, &WholePart::slot);
  return found == whole.parts().end() ? nullptr : &*found;
}

void add_connector(OneAdapter& one, const Part& part, const WholePart& wanted) {
  for (const auto& parameter : part.module->parameters()) {
    if (parameter.fixed) continue;
    if (parameter.tensor->is_meta())
      refuse_adapter(fmt::format("{} comes from {}", part.path, part.weights),
                     "write a directory, which has all of it");
    one.add_whole(in_transformers(wanted, parameter.name), *parameter.tensor);
  }
}

// What each part has itself: nothing of it may be lost.
void add_parts(OneAdapter& one, const std::vector<Place>& places, const WholeModel& whole, const MultimodalLm& lm) {
  const auto& llm = places.front().part;
  for (const auto& place : places) {
    const auto* wanted = part_at(whole, place.part.path);
    if (place.slot.kind == PartKind::peft || !wanted) continue;
    if (place.slot.kind == PartKind::llm || place.slot.kind == PartKind::encoder)
      check_untrained(place, *wanted, llm, lm);
    else if (place.slot.kind == PartKind::head)
      refuse_adapter(fmt::format("the model has a {}", place.part.path), "write a directory");
  }
  if (!one.has_sites()) refuse_adapter("the model has none", "write a directory");
  for (const auto& place : places)
    if (const auto* wanted = part_at(whole, place.part.path);
        wanted && place.slot.kind == PartKind::connector && is_changed(place, *wanted, llm))
      add_connector(one, place.part, *wanted);
}

}  // namespace

AdapterReport export_adapter(Model& model, const fs::path& output) {
  const auto places = places_of(model);
  const auto whole = whole_of(places);
  OneAdapter one;
  auto& lm = model.lm();
  for (size_t i = 0; i < lm.pefts().size(); ++i) {
    const auto& peft = lm.pefts()[i];
    if (!lm.in_use(i)) continue;
    one.add(peft, *part_at(whole, peft.owner));
  }
  add_parts(one, places, whole, lm);
  auto report = one.write(output, whole.directory());
  report.unsaid = left_unsaid(lm, whole.directory());
  return report;
}

}  // namespace antiphon::model
