// The slots of a composed model, one for each of Model::parts(), and how a part gets its values.
#pragma once
#include <antiphon/model/multimodal_lm.h>
#include <antiphon/model/origin.h>
#include <antiphon/weights/load.h>

namespace antiphon::model {

struct PartSlot {
  PartKind kind, owner;         // as those of Part
  size_t index = 0;             // of a method in MultimodalLm::pefts(), of an encoder among those that are joined
  std::string path;             // as Part::path
  std::string stream;           // of an encoder or a connector, or a method on one
  std::string plugin, weights;  // as the configuration has them
  const config::Value* options = nullptr;
  Origin origin = {};
  std::string section() const { return "model." + path; }
};

// In the order of Model::parts(). Errors as in origin_of().
std::vector<PartSlot> slots_of(Model& model);

// Error(weights) if a slot's directory holds an adapter beside the model, which transformers puts on the model, that
// changes this part, and no method's slot takes its values from there.
void check_adapters_inside(Model& model);

// Puts into the parts from the first on what their slots' weights give, if they give any: a run's trained values, an
// adapter, what the part's directory has; initialises the others.
void load_parts(Model& model, const LoadSettings& settings, size_t first = 0);

// Peft::start() of the methods to whose parameters load() found no values. It sees weights as they are kept then, and
// is not wanted if a checkpoint gives all that is trained next.
void start_methods(Model& model, uint64_t seed);

// As Model::load(), on the CPU, but parts unchanged from their directory stay on the meta device: what is left
// is the model's own.
void load_own(Model& model, uint64_t seed);

// How many tensors fit, of the runs that slots take their weights from; a line for each such part: "streams.image.
// connector: 4/4 tensors from runs/first". Error(weights) as in load().
std::vector<std::string> check_runs(Model& model);

}  // namespace antiphon::model
