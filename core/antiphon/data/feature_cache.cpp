#include <antiphon/data/feature_cache.h>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/files.h>
#include <antiphon/base/log.h>
#include <antiphon/base/paths.h>
#include <antiphon/base/temporaries.h>
#include <antiphon/base/trace.h>
#include <antiphon/weights/lazy_tensor.h>
#include <antiphon/weights/output_file.h>
#include <antiphon/weights/safetensors.h>
#include <antiphon/weights/safetensors_shard.h>

#include <sstream>

namespace antiphon::data {
namespace {

std::string to_text(const Tiling& t) { return fmt::format("{} {} {} {}", t.rows, t.columns, t.height, t.width); }

Tiling to_tiling(const std::string& text) {
  Tiling t;
  std::istringstream(text) >> t.rows >> t.columns >> t.height >> t.width;
  return t;
}

constexpr const char* kUnfinished = "unfinished";  // beside the folders of features

// Of all bytes: a damaged file would train on silently otherwise.
std::string hash_of_all(const CachedFeatures& features) {
  auto hashes = fmt::format("{} {}", to_text(features.tiling), features.seconds);
  for (const auto& part : features.parts) hashes += hash_of(part);
  return content_hash(hashes);
}

}  // namespace

std::string hash_of(const at::Tensor& tensor) {
  const auto bytes = tensor.detach().to(at::kCPU).contiguous();
  return content_hash({static_cast<const char*>(bytes.const_data_ptr()), static_cast<size_t>(bytes.nbytes())});
}

FeatureCache::FeatureCache(std::filesystem::path folder, std::map<std::string, std::string> settings)
    : folder_(std::move(folder)) {
  for (auto& [stream, text] : settings) settings_[stream] = content_hash(text).substr(0, 16);
  if (enabled()) remove_leftovers();
}

// Other processes may be writing to the same folder, on other machines, too, but none takes so long for a file.
void FeatureCache::remove_leftovers() {
  try {
    remove_temporaries(folder_ / kUnfinished, std::chrono::hours(1), ErrorKind::data);
  } catch (const Error& error) {
    warn_once(error.message());
  }
}

std::string FeatureCache::key(const std::string& stream, std::string_view content) const {
  const auto settings = settings_.find(stream);
  if (!enabled() || settings == settings_.end()) return {};
  return settings->second + "/" + std::string(content);
}

std::filesystem::path FeatureCache::path(const std::string& key) const { return folder_ / (key + ".safetensors"); }

std::optional<CachedFeatures> FeatureCache::load(const std::string& key) const {
  std::error_code ignored;  // what cannot be looked at is made again
  if (key.empty() || !std::filesystem::exists(path(key), ignored)) return std::nullopt;
  try {
    const weights::SafetensorsFile file(path(key));
    CachedFeatures features;
    for (size_t i = 0; i < file.tensors().size(); ++i) features.parts.push_back(file.tensor(std::to_string(i)));
    for (const auto& part : features.parts)
      if (part.dim() != 3) return std::nullopt;
    const auto hash = file.metadata().find("xxh3"), tiling = file.metadata().find("tiling"),
               seconds = file.metadata().find("seconds"), end = file.metadata().end();
    if (hash == end || tiling == end || seconds == end) return std::nullopt;
    features.tiling = to_tiling(tiling->second);
    std::istringstream(seconds->second) >> features.seconds;
    if (hash->second != hash_of_all(features)) return std::nullopt;
    return features;
  } catch (const Error& error) {
    log::debug(fmt::format("feature cache: {} is made again: {}", path(key).string(), error.message()));
    return std::nullopt;
  }
}

void FeatureCache::store(const std::string& key, const CachedFeatures& features) {
  if (key.empty()) return;
  try {
    for (const auto& folder : {folder_ / kUnfinished, path(key).parent_path()}) make_folder(folder, ErrorKind::data);
    weights::NamedTensors tensors;
    for (size_t i = 0; i < features.parts.size(); ++i)
      tensors.emplace_back(std::to_string(i), features.parts[i].detach());
    weights::OutputFile file(path(key), folder_ / kUnfinished);
    weights::write_safetensors(file, weights::lazy(tensors),
                               {{"xxh3", hash_of_all(features)},
                                {"tiling", to_text(features.tiling)},
                                {"seconds", fmt::format("{}", features.seconds)}});
    file.commit();
    sync_folder_of(path(key), ErrorKind::data);
  } catch (const Error& error) {
    warn_once(error.message());
  }
}

void FeatureCache::warn_once(const std::string& reason) {
  if (!std::exchange(warned_, true)) log::warning("features are not cached: " + reason);
}

void FeatureCache::store(const model::Batch& batch) {
  for (const auto& media : batch.media) {
    if (media.cache_key.empty() || media.item.inputs.empty() || media.item.features.empty()) continue;
    const TraceScope scope("feature cache");
    store(media.cache_key, {media.item.features, media.item.tiling, media.seconds});
  }
}

}  // namespace antiphon::data
