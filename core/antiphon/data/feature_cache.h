// Features of frozen encoders on disk, so that an image is encoded once and not in every epoch.
#pragma once
#include <antiphon/model/batch.h>

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace antiphon::data {

struct CachedFeatures {
  std::vector<at::Tensor> parts;  // each [rows, columns, feature_size]
  Tiling tiling;
  double seconds = 0;  // of a sound
};

// content_hash() of a tensor's bytes, on any device.
std::string hash_of(const at::Tensor& tensor);

class FeatureCache {
 public:
  // `settings` by stream name: whatever features depend on besides the media's bytes. An empty folder: no caching.
  // Removes what killed processes left half written, which lies in one folder, whatever the cache holds.
  FeatureCache(std::filesystem::path folder, std::map<std::string, std::string> settings);

  bool enabled() const { return !folder_.empty(); }
  // The name of an item's features, by the hash of its file's bytes; empty if that stream is not cached.
  std::string key(const std::string& stream, std::string_view content) const;
  // nullopt if they are missing or damaged (they are then made again).
  std::optional<CachedFeatures> load(const std::string& key) const;
  // Atomic; a full disk is a warning, once, and not an error.
  void store(const std::string& key, const CachedFeatures& features);
  // What a batch's media have got from encoding and the cache has a name for.
  void store(const model::Batch& batch);

 private:
  std::filesystem::path path(const std::string& key) const;
  void warn_once(const std::string& reason);
  void remove_leftovers();
  std::filesystem::path folder_;
  std::map<std::string, std::string> settings_;  // hashed, by stream name
  bool warned_ = false;
};

}  // namespace antiphon::data
