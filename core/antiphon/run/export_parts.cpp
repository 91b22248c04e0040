#include <antiphon/run/export_parts.h>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/base/log.h>
#include <antiphon/base/paths.h>
#include <antiphon/weights/adapter.h>
#include <antiphon/weights/export.h>

namespace antiphon::run {

void export_parts(model::MultimodalLm& model, const std::filesystem::path& folder) {
  for (size_t i = 0; i < model.pefts().size(); ++i) {
    const auto name = model.pefts().size() > 1 ? fmt::format("adapter_{}", i) : "adapter";
    weights::save_adapter(folder / name, *model.pefts()[i], model.parts().front().weights);
    log::info(fmt::format("adapter in {}", (folder / name).string()));
  }
  make_folder(folder / "connectors", ErrorKind::weights);
  for (const auto& [name, stream] : model.streams()) {
    const auto path = folder / "connectors" / (name + ".safetensors");
    weights::save_safetensors(
        path, weights::checkpoint_tensors(stream->connector().module(), NameMap{{{"{}", "{}"}}, {}, {}}));
    log::info(fmt::format("connector in {}", path.string()));
  }
}

}  // namespace antiphon::run
