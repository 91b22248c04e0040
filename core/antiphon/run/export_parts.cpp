#include <antiphon/run/export_parts.h>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/base/log.h>
#include <antiphon/base/paths.h>
#include <antiphon/model/multimodal_lm.h>
#include <antiphon/weights/adapter.h>
#include <antiphon/weights/export.h>

#include <algorithm>

namespace antiphon::run {
namespace {

// "adapter" of the language model, "adapter_image_encoder" of a stream's part; with a number if the part has several
// without names. "adapters/NAME" of one with a name.
std::string folder_of(const model::AttachedPeft& peft, const model::MultimodalLm& model) {
  if (!peft.name.empty()) return "adapters/" + peft.name;
  std::string name = "adapter";
  if (peft.owner_kind != model::PartKind::llm) name += "_" + peft.owner.substr(std::string_view("streams.").size());
  std::ranges::replace(name, '.', '_');
  const auto of_owner = std::ranges::count_if(
      model.pefts(), [&](const auto& other) { return other.owner == peft.owner && other.name.empty(); });
  return of_owner > 1 ? fmt::format("{}_{}", name, peft.index) : name;
}

}  // namespace

void export_parts(model::Model& whole, const std::filesystem::path& folder) {
  auto& model = whole.lm();
  const auto parts = whole.parts();
  for (const auto& peft : model.pefts()) {
    const auto name = folder_of(peft, model);
    if (peft.tokens != TokenChoice::all) {
      log::warning(
          fmt::format("no adapter in {}: it changes some tokens only, which PEFT's files cannot say; the run's "
                      "folder as its `weights` has it",
                      (folder / name).string()));
      continue;
    }
    const auto owner = std::ranges::find(parts, peft.owner, &model::Part::path);
    weights::save_adapter(folder / name, *peft.method, owner->weights, {}, peft.also_trained(),
                          StackedPart{peft.names, *peft.part});
    log::info(fmt::format("adapter in {}", (folder / name).string()));
  }
  make_folder(folder / "connectors", ErrorKind::weights);
  for (const auto& [name, stream] : model.streams()) {
    const auto path = folder / "connectors" / (name + ".safetensors");
    weights::save_safetensors(
        path, weights::checkpoint_tensors(stream->connector().module(), NameMap{{{"{}", "{}"}}, {}, {}}));
    log::info(fmt::format("connector in {}", path.string()));
  }
  if (!whole.head_spec()) return;
  const auto& head = parts.back();
  weights::save_safetensors(folder / "head.safetensors", weights::checkpoint_tensors(*head.module, head.names));
  log::info(fmt::format("head in {}", (folder / "head.safetensors").string()));
}

}  // namespace antiphon::run
