#include <antiphon/run/sample_parts.h>

#include <nlohmann/json.hpp>

#include <antiphon/base/paths.h>
#include <antiphon/base/strings.h>

namespace antiphon::run {

std::string question_of(const Sample& sample) {
  std::vector<std::string> turns;
  for (const auto& turn : sample.turns) {
    if (turn.role != "user") continue;
    std::vector<std::string> texts;
    for (const auto& part : turn.parts)
      if (part.media < 0 && !trim(part.text).empty()) texts.emplace_back(trim(part.text));
    if (!texts.empty()) turns.push_back(join(texts, " "));
  }
  return join(turns, "\n");
}

nlohmann::json media_files_of(const Sample& sample) {
  auto files = nlohmann::json::array();
  for (const auto& media : sample.media) {
    files.push_back({{"type", to_string(media.modality)}});
    if (media.bytes.is_file())
      files.back()["path"] = absolute_path(media.bytes.file(), ErrorKind::data).lexically_normal().string();
    else
      files.back()["name"] = media.bytes.name();
  }
  return files;
}

}  // namespace antiphon::run
