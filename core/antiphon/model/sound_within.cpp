#include <antiphon/model/sound_within.h>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/component/sample_layout.h>

#include <algorithm>

namespace antiphon::model {
namespace {

std::vector<int64_t> positions_of_parts(const StreamItem& video) {
  std::vector<int64_t> positions;
  for (size_t part = 0; part < video.part_tokens.size(); ++part)
    positions.insert(positions.end(), static_cast<size_t>(video.part_tokens[part]), part_time(part, video.part_step));
  return positions;
}

std::vector<int64_t> counted_on(int64_t count) {
  std::vector<int64_t> positions;
  for (int64_t i = 0; i < count; ++i) positions.push_back(i);
  return positions;
}

// How many embeddings at these positions each chunk has. An embedding ends one chunk at most, also if it lies beyond
// the next one's end: so the processor and the model of the source count.
std::vector<int64_t> in_chunks(const std::vector<int64_t>& positions, int64_t chunk) {
  std::vector<int64_t> counts{0};
  for (int64_t end = chunk; const auto position : positions) {
    if (position >= end) counts.push_back(0), end += chunk;
    ++counts.back();
  }
  return counts;
}

std::vector<int64_t> by_turns(const std::vector<int64_t>& seen, const std::vector<int64_t>& heard) {
  std::vector<int64_t> runs;
  for (size_t i = 0; i < std::max(seen.size(), heard.size()); ++i)
    for (const auto* counts : {&seen, &heard}) runs.push_back(i < counts->size() ? (*counts)[i] : 0);
  return runs;
}

void take_runs(StreamItem& item, const std::vector<int64_t>& runs, bool sound, const SoundMarks& marks) {
  item.ids = {sound ? StreamItem::kOfOther : marks.begin};
  for (size_t run = 0; run < runs.size(); ++run)
    item.ids.insert(item.ids.end(), static_cast<size_t>(runs[run]),
                    (run % 2 == 1) == sound ? -1 : StreamItem::kOfOther);
  item.ids.push_back(sound ? StreamItem::kOfOther : marks.end);
  item.tokens = std::ssize(item.ids), item.part_tokens = {item.tokens};
}

}  // namespace

void put_within(StreamItem& sound, StreamItem& video, int64_t chunk, const SoundMarks& marks) {
  if (!video.ids.empty() || !sound.ids.empty() || video.part_tokens.size() != video.grids.size())
    fail(ErrorKind::config,
         fmt::format("a sound cannot stand among the {} embeddings of a video, in {} parts: there are other tokens "
                     "between them, or parts are not one after the other",
                     video.embeddings(), video.grids.size()),
         "leave data.video.interleave out, or row_break, part_end and part_break of the streams");
  video.runs = by_turns(in_chunks(positions_of_parts(video), chunk), in_chunks(counted_on(sound.tokens), chunk));
  take_runs(sound, video.runs, true, marks), take_runs(video, video.runs, false, marks);
}

}  // namespace antiphon::model
