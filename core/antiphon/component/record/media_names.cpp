#include <antiphon/component/record/media_names.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <string>

namespace antiphon::records {

std::optional<Modality> modality_of_file(std::string_view name) {
  static const std::map<std::string, Modality> kinds{
      {"jpg", Modality::image},  {"jpeg", Modality::image}, {"png", Modality::image}, {"webp", Modality::image},
      {"gif", Modality::image},  {"bmp", Modality::image},  {"tif", Modality::image}, {"tiff", Modality::image},
      {"wav", Modality::audio},  {"flac", Modality::audio}, {"mp3", Modality::audio}, {"ogg", Modality::audio},
      {"opus", Modality::audio}, {"m4a", Modality::audio},  {"aac", Modality::audio}, {"aif", Modality::audio},
      {"aiff", Modality::audio}, {"au", Modality::audio},   {"caf", Modality::audio}, {"w64", Modality::audio},
      {"amr", Modality::audio},  {"wma", Modality::audio},  {"mp4", Modality::video}, {"mkv", Modality::video},
      {"webm", Modality::video}, {"mov", Modality::video},  {"avi", Modality::video}, {"mpg", Modality::video},
      {"mpeg", Modality::video}};
  std::string end(name.substr(name.rfind('.') + 1));
  std::ranges::transform(end, end.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const auto found = kinds.find(end);
  return found == kinds.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace antiphon::records
