// The media of the samples as data: URLs, so that the page needs no other file.
#pragma once
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

namespace antiphon::apps::report {

class MediaEmbedder {
 public:
  // `budget`: bytes that all URLs together may take.
  explicit MediaEmbedder(uint64_t budget) : budget_(budget) {}

  // {"type": "image", "audio" or "video", "name", "note"} and, if it can be shown, "asset", an index into assets().
  // `note` says in words what was done to it, or why it cannot be shown. The same file is embedded once.
  //   images:   their own bytes if these are few and in a browser's format, else a JPEG of at most 400 pixels a side
  //   sound:    WAV, 16 kHz, 16 bit, mono, the first 30 seconds
  //   videos:   their own bytes (mp4, webm) up to 3 MiB, else one frame from the middle
  nlohmann::json add(const std::string& type, const std::filesystem::path& path);

  nlohmann::json take_assets() { return std::move(assets_); }

 private:
  uint64_t budget_, used_ = 0;
  nlohmann::json assets_ = nlohmann::json::array();
  std::map<std::filesystem::path, nlohmann::json> known_;
};

}  // namespace antiphon::apps::report
