// Which noises and rooms there are.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>
#include <antiphon/base/files.h>
#include <antiphon/base/json.h>
#include <antiphon/base/paths.h>
#include <antiphon/base/shown.h>
#include <antiphon/base/strings.h>
#include <antiphon/data/augment/augmenter.h>

#include <algorithm>
#include <cmath>

namespace antiphon::data {
namespace {

namespace fs = std::filesystem;

bool is_sound(const fs::path& path) {
  constexpr std::array kExtensions{".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".aac", ".aiff", ".au", ".w64"};
  return std::ranges::find(kExtensions, MediaBytes(path).extension()) != kExtensions.end();
}

void add_folder(const fs::path& folder, std::vector<MediaRef>& noises) {
  for (const auto& path : entries_of(folder, ErrorKind::config))
    if (is_folder(path, ErrorKind::config))
      add_folder(path, noises);
    else if (is_sound(path))
      noises.push_back({Modality::audio, path});
}

double seconds_in(const nlohmann::json& record, const char* key, double otherwise) {
  const auto found = record.find(key);
  if (found == record.end() || found->is_null()) return otherwise;
  if (!found->is_number() || !std::isfinite(found->get<double>()) || found->get<double>() < 0)
    fail(ErrorKind::config, fmt::format("{} is {}; expected seconds from 0 on", key, shown(found->dump(), 40)));
  return found->get<double>();
}

MediaRef noise_in(const std::string& line, const fs::path& folder) {
  JsonProblem problem;
  const auto record = parse_json(line, problem);
  if (!problem.problem.empty()) fail(ErrorKind::config, "the line is " + problem.problem);
  const auto path = record.is_object() ? record.find("audio_filepath") : record.end();
  if (!record.is_object() || path == record.end() || !path->is_string())
    fail(ErrorKind::config, "the line has no text audio_filepath",
         "a manifest of noises is NeMo's: {\"audio_filepath\": …}");
  MediaRef ref{Modality::audio, folder / path->get<std::string>()};
  ref.begin = seconds_in(record, "offset", 0);
  ref.seconds = seconds_in(record, "duration", std::numeric_limits<double>::infinity());
  return ref;
}

void add_manifest(const fs::path& manifest, std::vector<MediaRef>& noises) {
  int64_t number = 0;
  for (const auto& line : split(read_file(manifest, ErrorKind::config), '\n')) {
    ++number;
    if (trim(line).empty()) continue;
    noises.push_back(with_context(fmt::format("reading {}:{}", shown(manifest.string()), number),
                                  [&] { return noise_in(line, manifest.parent_path()); }));
  }
}

}  // namespace

std::vector<MediaRef> noises_of(const fs::path& folder_or_manifest, const char* kind) {
  std::vector<MediaRef> noises;
  is_folder(folder_or_manifest, ErrorKind::config) ? add_folder(folder_or_manifest, noises)
                                                   : add_manifest(folder_or_manifest, noises);
  if (noises.empty())
    fail(ErrorKind::config,
         fmt::format("data.augment.{}.path: {} holds no recording", kind, shown(folder_or_manifest.string())),
         "name a folder of sound files, or a manifest with an audio_filepath a line");
  return noises;
}

}  // namespace antiphon::data
