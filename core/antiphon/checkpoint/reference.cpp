#include <antiphon/checkpoint/reference.h>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/checkpoint/file_digest.h>
#include <antiphon/weights/safetensors.h>

#include <utility>

namespace antiphon::checkpoint {
namespace {

std::string digest_of(const std::filesystem::path& file) { return file_digest(file).at("xxh3").get<std::string>(); }

}  // namespace

Reference::Reference(const std::vector<Parameter>& trained, const std::filesystem::path& file) {
  weights::NamedTensors tensors;
  for (const auto& parameter : trained) {
    values_.emplace_back(parameter.tensor, parameter.tensor->detach().clone());
    tensors.emplace_back(parameter.name, values_.back().second.cpu());
  }
  if (file.empty()) return;
  weights::save_safetensors(file, tensors);
  digest_ = digest_of(file);
}

Reference::Reference(const std::vector<Parameter>& trained, const std::filesystem::path& file,
                     const std::string& digest)
    : digest_(digest_of(file)) {
  if (digest_ != digest)
    fail(ErrorKind::weights,
         fmt::format("{} is not the reference that the checkpoint was trained against", file.string()),
         "restore it from a copy of the run");
  const weights::SafetensorsFile saved(file);
  for (const auto& parameter : trained) {
    auto value = saved.tensor(parameter.name)
                     .to(parameter.tensor->device(), parameter.tensor->scalar_type(),
                         /*non_blocking=*/false, /*copy=*/true);
    if (value.sizes() != parameter.tensor->sizes())
      fail(ErrorKind::weights,
           fmt::format("{} does not fit the model: {} has another shape", file.string(), parameter.name),
           "use the config.toml of that run");
    values_.emplace_back(parameter.tensor, std::move(value));
  }
}

void Reference::exchange() {
  for (auto& [parameter, value] : values_) std::swap(*parameter, value);
}

}  // namespace antiphon::checkpoint
