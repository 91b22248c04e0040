// One record of a data set: a conversation of text and media parts.
#pragma once
#include <filesystem>
#include <limits>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <antiphon/component/media_item.h>

namespace antiphon::data {

// A media file that a sample names.
struct MediaRef {
  Modality modality = Modality::image;
  std::filesystem::path path;
  std::string stream;  // which stream takes it; empty: the one of its modality
  // Set if it is already decoded: a frame of a video, a microphone recording. `path` then only says where it is from,
  // and `content` stands for the hash of a file's bytes.
  std::shared_ptr<const MediaItem> item = {};
  std::string content = {};
  std::filesystem::path origin = {};  // the video that it is a piece of
};

struct ContentPart {
  std::string text;    // used if `media` is negative
  int64_t media = -1;  // index into Sample::media
};

struct SampleTurn {
  std::string role;  // "system", "user", "assistant"
  std::vector<ContentPart> parts;
  std::string reasoning = {};  // "reasoning_content": what the assistant thought before it said that
  bool trained = true;         // of an assistant's turn: whether it is supervised
};

// One of several ways to go on from the turns of a sample.
struct Candidate {
  std::vector<SampleTurn> turns;        // the assistant's
  std::map<size_t, size_t> media = {};  // media of earlier turns that it replaces: index -> index in Sample::media
  double value = std::numeric_limits<double>::quiet_NaN();  // score, label or reward; NaN: unknown
};

struct Sample {
  std::string id;
  std::filesystem::path file;  // where it was read, with its line, for messages
  int64_t line = 0;
  std::vector<SampleTurn> turns;
  std::vector<MediaRef> media;
  std::vector<Candidate> candidates = {};   // the answers that an objective compares, the preferred one first; or none
  std::map<std::string, std::string> tags;  // other members that are plain strings: task, lang, category
  std::set<std::string> unread;             // keys of the record that nothing reads, e.g. "bbox", "messages: weight"
};

// Reads one record. Two layouts are told apart by their keys:
//   {"messages": [{"role", "reasoning_content"?: "…", "content": "…" or [{"type": "text", "text"}, {"type": "image",
//   "image": PATH}, {"type": "audio", "audio": PATH, "stream"?: NAME}, {"type": "video", "video": PATH}]}], "images"?:
//   PATH or [PATH…]}
//   {"conversations": [{"from": "human"|"gpt"|"system", "value": "… <image> …"}], "image"?: PATH or [PATH…]}
// The first is OpenAI's (paths in place of URLs), ms-swift's and LLaMA-Factory's, the second LLaVA's and sharegpt's.
// Both may list media beside the turns under image, images, audio, audios, video, videos: the k-th mark (<image>, …) in
// what users say takes the k-th of its kind; in the first layout they go before the first question if there is no mark,
// and a part {"type": "image"} without a path takes the next one. Marks of kinds that are not listed are text, as are
// marks in other turns. Relative paths are relative to `folder`. Error(data) says what is wrong and what was expected.
Sample parse_sample(std::string_view line, const std::filesystem::path& folder);

}  // namespace antiphon::data
