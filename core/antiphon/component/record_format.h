// What a record of a data set says: JSON of one layout to a Sample.
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <set>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include <antiphon/component/kind.h>
#include <antiphon/component/sample.h>

namespace antiphon {

// Where the media are that a record names, and what else a reading of it depends on.
struct MediaFolder {
  std::filesystem::path folder;                  // relative paths are relative to it
  const std::map<std::string, MediaBytes>& own;  // those that came with the record (DataRecord::media)
  bool closed = false;                           // there are no others
  // By which a format chooses among several things that a record may say. Of training data it follows from the run's
  // seed, the record and the epoch: each epoch draws anew, and may draw the same. 0 of held-out data: the same thing
  // always.
  uint64_t draw = 0;
};

// Immutable; called from many threads. `record` is an object; its members are in the order of the text.
class RecordFormat {
 public:
  virtual ~RecordFormat() = default;
  // What makes a record one of its own, for messages: "a list 'messages'".
  virtual std::string expects() const = 0;
  virtual bool recognises(const nlohmann::ordered_json& record) const = 0;
  // Whether its samples are answers to be compared (Sample::candidates), for objectives that compare.
  virtual bool compares() const { return false; }
  // The members of the record that it reads. Others are refused if they may name media or change what the sample says;
  // else texts become tags, and the rest is told once. "id" is read by the caller.
  virtual std::set<std::string> keys() const = 0;
  // Error(data) says what is wrong and what was expected. Sets turns, media, candidates, tools, and `tags` and `unread`
  // for keys within members.
  virtual Sample read(const nlohmann::ordered_json& record, const MediaFolder& media) const = 0;
  // A hash of files that it reads beside the records, by which a run that goes on notices that they changed; "": none.
  virtual std::string fingerprint() const { return {}; }
};

template <>
struct KindOf<RecordFormat> : Kind<> {
  static constexpr const char* name = "record_format";
};

}  // namespace antiphon
