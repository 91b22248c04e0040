#include <antiphon/component/record/record_media.h>

#include <algorithm>
#include <cctype>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/shown.h>
#include <antiphon/component/record/turns.h>

namespace antiphon::records {
namespace {

constexpr size_t kMostMedia = 4096;  // of a sample

void check_count(size_t media) {
  if (media > kMostMedia)
    fail(ErrorKind::data, fmt::format("the record names more than {} media", kMostMedia),
         "divide it into several records");
}

std::string path_in(const Json& value, const std::string& key) {
  const auto& path = path_within(value);
  if (!path.is_string()) fail(ErrorKind::data, fmt::format("'{}' lists something that is not a path", key));
  return path.get<std::string>();
}

// A path, or a list of them.
std::vector<std::string> paths_in(const Json& value, const std::string& key) {
  if (path_within(value).is_string()) return {path_in(value, key)};
  if (!value.is_array()) fail(ErrorKind::data, fmt::format("'{}' is neither a path nor a list of paths", key));
  check_count(value.size());
  std::vector<std::string> paths;
  for (const auto& path : value) paths.push_back(path_in(path, key));
  return paths;
}

// "https://…", "file://…"
bool is_address(std::string_view text) {
  const auto end = text.find("://");
  const auto scheme = text.substr(0, end);
  return end != std::string_view::npos && !scheme.empty() && std::ranges::all_of(scheme, [](unsigned char c) {
           return std::isalnum(c) || c == '+' || c == '.' || c == '-';
         });
}

MediaBytes found(const std::string& name, Modality modality, const MediaFolder& media) {
  if (name.empty()) fail(ErrorKind::data, "a media path is empty");
  if (name.find('\0') != std::string::npos) fail(ErrorKind::data, "a media path holds a NUL character");
  if (const auto own = media.own.find(name); own != media.own.end()) return own->second;
  if (is_data_url(name)) return from_data_url(name, modality);
  if (is_address(name))
    fail(ErrorKind::data, fmt::format("'{}' is an address; media are read from files and data: URLs", shown(name)),
         "fetch it first, and name the file by its path");
  if (media.closed)
    fail(ErrorKind::data, fmt::format("'{}' did not come with the record, whose media are not files", shown(name)),
         "put it into the archive beside the record");
  return media.folder / name;
}

}  // namespace

std::optional<Modality> modality_of(std::string_view name) {
  for (const auto modality : {Modality::image, Modality::audio, Modality::video})
    if (name == to_string(modality)) return modality;
  return std::nullopt;
}

const Json& path_within(const Json& value) {
  if (!value.is_object()) return value;
  const auto path = value.find("path");
  const bool named = path != value.end() && path->is_string() && !is_there(value, "bytes");
  return named ? *path : value;
}

int64_t RecordMedia::add(Sample& sample, Modality modality, const std::string& name, std::string stream) const {
  check_count(sample.media.size() + 1);
  sample.media.push_back({modality, found(name, modality, folder_), std::move(stream)});
  return static_cast<int64_t>(sample.media.size()) - 1;
}

RecordMedia::RecordMedia(const Json& record, const MediaFolder& folder) : folder_(folder) {
  for (const auto modality : {Modality::image, Modality::audio, Modality::video}) {
    const std::string name(to_string(modality));
    Kind kind{modality, "<" + name + ">", {}};
    for (const auto& key : {name, name + "s"}) {
      if (!is_there(record, key)) continue;
      if (kind.listed) fail(ErrorKind::data, fmt::format("the object has both '{0}' and '{0}s'", name));
      kind.paths = paths_in(record.at(key), key);
      kind.listed = true;
    }
    kinds_.push_back(std::move(kind));
  }
}

void RecordMedia::mark_videos_as_images() {
  const auto is_video = [](const Kind& kind) { return kind.modality == Modality::video; };
  if (std::ranges::all_of(kinds_, [&](const Kind& kind) { return kind.listed == is_video(kind); }))
    std::ranges::find_if(kinds_, is_video)->mark = "<image>";
}

int64_t RecordMedia::take_next(Kind& kind, Sample& sample) {
  if (kind.next >= kind.paths.size())
    fail(ErrorKind::data,
         fmt::format("the text has more {} marks than the sample has paths ({})", kind.mark, kind.paths.size()));
  return add(sample, kind.modality, kind.paths[kind.next++]);
}

std::optional<int64_t> RecordMedia::take(Modality modality, Sample& sample) {
  for (auto& kind : kinds_)
    if (kind.modality == modality && kind.listed) return take_next(kind, sample);
  return std::nullopt;
}

// Each kind's next mark is looked for once, so that the time is linear in the text.
void RecordMedia::add_text(std::string_view text, bool drop_line_end, SampleTurn& turn, Sample& sample) {
  for (auto& kind : kinds_) kind.at = kind.listed ? text.find(kind.mark) : std::string_view::npos;
  size_t done = 0;
  while (true) {
    auto& kind = *std::ranges::min_element(kinds_, {}, &Kind::at);
    if (kind.at == std::string_view::npos) break;
    if (kind.at > done) turn.parts.push_back({std::string(text.substr(done, kind.at - done))});
    turn.parts.push_back({{}, take_next(kind, sample)});
    done = kind.at + kind.mark.size();
    if (drop_line_end && text.substr(done).starts_with('\n')) ++done;
    kind.at = text.find(kind.mark, done);
  }
  if (done < text.size() || turn.parts.empty()) turn.parts.push_back({std::string(text.substr(done))});
}

void RecordMedia::place_unmarked(Sample& sample) {
  const auto turn = std::ranges::find(sample.turns, "user", &SampleTurn::role);
  if (turn == sample.turns.end()) return;
  std::vector<ContentPart> first;
  for (auto& kind : kinds_) {
    if (kind.next > 0 || kind.paths.empty()) continue;
    if (std::ranges::count(sample.media, kind.modality, &MediaRef::modality) > 0)
      fail(ErrorKind::data,
           fmt::format("the object names {0}s both in its turns and beside them; which {0} goes where?",
                       to_string(kind.modality)));
    while (kind.next < kind.paths.size()) first.push_back({{}, take_next(kind, sample)});
  }
  turn->parts.insert(turn->parts.begin(), first.begin(), first.end());
}

void RecordMedia::check_all_taken() const {
  for (const auto& kind : kinds_)
    if (kind.next != kind.paths.size())
      fail(ErrorKind::data,
           fmt::format("{} paths are named under '{}' but the text marks {}", kind.paths.size(),
                       to_string(kind.modality), kind.next),
           fmt::format("put one {} for each path into a user's turn", kind.mark));
}

}  // namespace antiphon::records
