// One record of a data set: a conversation of text and media parts. What a record format makes, whatever the record is.
#pragma once
#include <filesystem>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <antiphon/component/media_bytes.h>
#include <antiphon/component/media_item.h>

namespace antiphon {

// A medium that a sample names.
struct MediaRef {
  Modality modality = Modality::image;
  MediaBytes bytes;
  std::string stream = {};  // which stream takes it; empty: the one of its modality
  // Set if it is already decoded: a frame of a video, a microphone recording. `bytes` then only says where it is from,
  // and `content` stands for the hash of a file's bytes.
  std::shared_ptr<const MediaItem> item = {};
  std::string content = {};
  std::filesystem::path origin = {};  // the video that it is a piece of
  // Of a sound: the piece that is meant, in seconds from its beginning.
  double begin = 0, seconds = std::numeric_limits<double>::infinity();
  std::optional<int64_t> channel = {};  // and its channel, from 0 on; nothing: as data.audio.channel says
};

struct ContentPart {
  std::string text;    // used if `media` is negative
  int64_t media = -1;  // index into Sample::media
  bool added = false;  // text that belongs to the medium after it, and is not the record's
  int64_t sound = -1;  // of a video with its sound among its embeddings (VideoRule): the sound's index
};

struct SampleTurn {
  std::string role;  // "system", "user", "assistant", "tool"; or "document", alone: text to learn as it is
  std::vector<ContentPart> parts;
  std::string reasoning = {};  // "reasoning_content": what the assistant thought before it said that
  bool trained = true;         // of an assistant's turn: whether it is supervised
  // JSON texts, as the chat template gets them; empty: none.
  std::string tool_calls = {};  // of an assistant's turn: a list of {"type", "function": {"name", "arguments"}}
  // An object, which of these the record has: "name", of a tool's turn "tool_call_id", and "thinking" and "reasoning".
  std::string more = {};
  // Of an assistant's turn: attributes of what it says, "quality:4,toxicity:0" or the JSON text of an object, and a
  // text that opens it and is not learnt; empty: none.
  std::string label = {}, given = {};
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
  std::string tools = {};                   // JSON text of a list: what the chat template gets as `tools`; empty: none
};

}  // namespace antiphon
