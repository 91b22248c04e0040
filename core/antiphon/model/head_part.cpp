#include <antiphon/model/head_part.h>
#include <antiphon/model/slot.h>

namespace antiphon::model {
namespace {

constexpr const char* kSection = "model.head";

}  // namespace

std::unique_ptr<Head> build_head(ComponentSpec& spec, int64_t hidden_size, config::Problems& problems) {
  auto head = build_slot<Head>(spec.plugin, {spec.weights, spec.part}, spec.options, kSection, problems,
                               HeadShape{hidden_size});
  if (head) head->module().set_requires_grad(spec.trainable);
  return head;
}

Part head_part(const ComponentSpec& spec, Head& head) {
  const auto origin = origin_of(spec.plugin, spec.weights, spec.part, kSection);
  Part part{"head",      spec.plugin,     &head.module(), origin.weights,
            origin.part, head.name_map(), PartKind::head, PartKind::head};
  if (!origin.part.empty()) part.names.whole = whole_names(origin.weights, origin.part);
  return part;
}

}  // namespace antiphon::model
