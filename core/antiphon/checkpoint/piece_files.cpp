#include <antiphon/checkpoint/piece_files.h>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/weights/safetensors.h>

namespace antiphon::checkpoint {
namespace {

constexpr const char* kBoxes = "boxes";  // in the metadata of a file

}  // namespace

std::string file_of(const std::string& kind, Share share) {
  if (share.count == 1) return fmt::format("{}.safetensors", kind);
  return fmt::format("{}_{:05}-of-{:05}.safetensors", kind, share.index + 1, share.count);
}

void save_pieces(const std::filesystem::path& file, const weights::NamedTensors& tensors, const Boxes& boxes) {
  Boxes own;
  for (const auto& [tensor, values] : tensors)
    if (const auto box = boxes.find(tensor); box != boxes.end()) own.insert(*box);
  weights::save_safetensors(file, tensors,
                            own.empty() ? weights::Metadata() : weights::Metadata{{kBoxes, boxes_to_text(own)}});
}

void read_pieces(const std::filesystem::path& path, StoredTensors& tensors) {
  const weights::SafetensorsFile file(path);
  const auto text = file.metadata().find(kBoxes);
  const auto boxes = text == file.metadata().end() ? Boxes() : boxes_of_text(text->second, path.string());
  for (const auto& info : file.tensors()) {
    const auto values = file.tensor(info.name);
    const auto box = boxes.find(info.name);
    with_context(path.string(), [&] {
      tensors[info.name].add(
          values, box != boxes.end()
                      ? box->second
                      : Box{values.sizes().vec(), std::vector<int64_t>(static_cast<size_t>(values.dim()), 0)});
    });
  }
}

StoredTensors read_all(const std::filesystem::path& folder, const std::string& kind, int shares) {
  StoredTensors tensors;
  for (int i = 0; i < shares; ++i) read_pieces(folder / file_of(kind, {i, shares}), tensors);
  for (const auto& [name, tensor] : tensors) with_context(folder.string(), [&] { tensor.check(name); });
  return tensors;
}

}  // namespace antiphon::checkpoint
