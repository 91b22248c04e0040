// Methods of fine-tuning on a single encoder or connector.
#include "model_probe.h"

#include <string>

#include <antiphon/model/model_spec.h>
#include <antiphon/weights/adapter.h>
#include <antiphon/weights/load.h>

namespace antiphon::probe {
namespace {

void give_values(model::AttachedPeft& peft, const std::string& weights) {
  if (!weights.empty())
    weights::load_adapter(weights, *peft.method, {}, {.device = device(), .name = "adapter"}, peft.also_trained(),
                          StackedPart{peft.names, *peft.part});
  peft.method->module().initialize(1, device());
  if (weights.empty()) peft.method->start(1);
}

}  // namespace

std::vector<model::AttachedPeft> add_methods(const json& request, Module& module, const NameMap& names) {
  std::vector<model::AttachedPeft> methods;
  if (!request.contains("peft")) return methods;
  config::Problems problems;
  const auto table = config::parse_toml("plugin = \"part\"\n" + request.at("peft").get<std::string>(), "peft");
  auto slot = model::frozen_slot().parse(table, "part", problems);
  module.set_requires_grad(false);
  model::attach_pefts({model::PartKind::llm, "part"}, model::PeftPart(module, names, {}), slot.peft, methods, problems);
  problems.throw_if_any();
  for (auto& peft : methods) give_values(peft, slot.peft[peft.index].weights);
  return methods;
}

}  // namespace antiphon::probe
