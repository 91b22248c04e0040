#include <antiphon/model/tied_head.h>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/base/log.h>
#include <antiphon/base/paths.h>
#include <antiphon/weights/checkpoint.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

namespace antiphon::model {
namespace {

constexpr const char* kTiedKey = "tie_word_embeddings";

bool holds_tensors(const std::filesystem::path& directory) {
  return std::ranges::any_of(weights::kCheckpointNames, [&](const auto& names) {
    return path_exists(directory / names.first, ErrorKind::weights) ||
           path_exists(directory / names.second, ErrorKind::weights);
  });
}

// The checkpoint's name for what a language model alone calls `name`; empty: it has none.
std::string name_of(const weights::Checkpoint& checkpoint, const std::vector<NameRule>& whole,
                    const std::string& name) {
  if (whole.empty()) return checkpoint.contains(name) ? name : "";
  const NameMap map{whole, {}, {}};
  for (const auto& stored : checkpoint.names())
    if (map.to_parameter(stored) == name) return stored;
  return "";
}

bool same(const at::Tensor& a, const at::Tensor& b) {
  return a.scalar_type() == b.scalar_type() && a.sizes() == b.sizes() &&
         std::memcmp(a.const_data_ptr(), b.const_data_ptr(), a.nbytes()) == 0;
}

}  // namespace

void untie_by_content(PretrainedConfig& pretrained, const std::string& directory, const std::vector<NameRule>& whole) {
  if (!pretrained.config.flag(kTiedKey, false) || !holds_tensors(directory)) return;
  const weights::Checkpoint checkpoint(directory);
  const auto head = name_of(checkpoint, whole, "lm_head.weight"),
             embedding = name_of(checkpoint, whole, "model.embed_tokens.weight");
  if (head.empty() || embedding.empty() || same(checkpoint.tensor(head), checkpoint.tensor(embedding))) return;
  log::warning(
      fmt::format("{} is true, but the checkpoint holds a '{}' that differs from '{}': the stored head is used",
                  pretrained.config.place(kTiedKey), head, embedding));
  pretrained.config = pretrained.config.with(kTiedKey, false);
}

}  // namespace antiphon::model
