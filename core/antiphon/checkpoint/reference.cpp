#include <antiphon/checkpoint/reference.h>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/checkpoint/file_digest.h>

#include <algorithm>
#include <utility>

namespace antiphon::checkpoint {
namespace {

std::string digest_of(const std::filesystem::path& file) { return file_digest(file).at("xxh3").get<std::string>(); }

}  // namespace

Reference::Reference(const std::vector<Parameter>& own) {
  for (const auto& parameter : own) values_.push_back({parameter, parameter.tensor->detach().clone()});
}

Reference::Reference(const std::vector<Parameter>& own, const std::filesystem::path& folder, const std::string& digest)
    : digest_(digest) {
  const int shares = static_cast<int>(std::ranges::count(digest, kJoined)) + 1;
  std::string found;
  for (int i = 0; i < shares; ++i)
    found += (i ? std::string(1, kJoined) : "") + digest_of(folder / file_of(kReference, {i, shares}));
  const auto files = (folder / file_of(kReference, {0, shares})).string() +
                     (shares > 1 ? fmt::format(" and {} others", shares - 1) : "");
  if (found != digest)
    fail(ErrorKind::weights, fmt::format("{} is not the reference that the checkpoint was trained against", files),
         "restore it from a copy of the run");
  const auto saved = read_all(folder, kReference, shares);
  for (const auto& parameter : own) {
    const auto value = saved.find(parameter.name);
    if (value == saved.end() || value->second.sizes() != parameter.whole_sizes())
      fail(ErrorKind::weights,
           fmt::format("{} does not fit the model: {} is missing or has another shape", files, parameter.name),
           "use the config.toml of that run");
    values_.push_back(
        {parameter, value->second.read(parameter).to(parameter.tensor->device(), parameter.tensor->scalar_type(),
                                                     /*non_blocking=*/false, /*copy=*/true)});
  }
}

std::string Reference::write(const std::filesystem::path& folder, Share share,
                             const std::function<bool(const Parameter&)>& holds) const {
  weights::NamedTensors tensors;
  Boxes boxes;
  for (const auto& [parameter, tensor] : values_) {
    if (!holds(parameter)) continue;
    tensors.emplace_back(parameter.name, tensor.cpu());
    if (parameter.box) boxes[parameter.name] = *parameter.box;
  }
  const auto file = folder / file_of(kReference, share);
  save_pieces(file, tensors, boxes);
  return digest_of(file);
}

void Reference::exchange(bool tell) {
  for (auto& [parameter, tensor] : values_) std::swap(*parameter.tensor, tensor);
  if (tell && on_exchange_) on_exchange_();
}

}  // namespace antiphon::checkpoint
