#include <antiphon/session/save.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>
#include <antiphon/base/files.h>
#include <antiphon/base/paths.h>
#include <antiphon/media/audio/wav_file.h>

#include <set>

namespace antiphon::session {
namespace {

using nlohmann::json;

json as_part(Modality modality, const std::filesystem::path& path) {
  const std::string kind(to_string(modality));
  return {{"type", kind}, {kind, path_text(absolute_path(path, ErrorKind::data), ErrorKind::data)}};
}

class Saver {
 public:
  explicit Saver(std::filesystem::path file) : file_(std::move(file)) {}

  // Nothing if the medium is a piece of a video that is named already.
  std::optional<json> part(const MediaRef& ref) {
    if (!ref.origin.empty())
      return videos_.insert(ref.origin).second ? std::optional(as_part(Modality::video, ref.origin)) : std::nullopt;
    if (!ref.item) return as_part(ref.modality, ref.bytes.file());
    const auto sound = file_.string() + fmt::format(".sound-{}.wav", ++sounds_);
    auto said = as_part(Modality::audio, sound);
    write_file_atomic(sound, media::wav_file(ref.item->audio), ErrorKind::data);
    return said;
  }
  void next_turn() { videos_.clear(); }

 private:
  std::filesystem::path file_;
  std::set<std::filesystem::path> videos_;
  int sounds_ = 0;
};

}  // namespace

void save_conversation(const Sample& conversation, const std::filesystem::path& file) {
  Saver saver(file);
  auto messages = json::array();
  for (const auto& turn : conversation.turns) {
    auto content = json::array();
    saver.next_turn();
    for (const auto& part : turn.parts) {
      if (part.added) continue;
      if (part.media < 0)
        content.push_back({{"type", "text"}, {"text", part.text}});
      else if (const auto medium = saver.part(conversation.media[static_cast<size_t>(part.media)]))
        content.push_back(*medium);
    }
    messages.push_back({{"role", turn.role}, {"content", content}});
    if (!turn.label.empty()) messages.back()["label"] = turn.label;
  }
  const auto line =
      json{{"id", conversation.id}, {"messages", messages}}.dump(-1, ' ', false, json::error_handler_t::replace);
  write_file_atomic(file, line + "\n", ErrorKind::data);
}

}  // namespace antiphon::session
