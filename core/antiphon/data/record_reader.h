// One record as a sample, by the record format that fits it.
#pragma once
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include <antiphon/component/data_source.h>
#include <antiphon/component/record_format.h>
#include <antiphon/data/key_names.h>
#include <antiphon/data/options.h>

namespace antiphon::data {

// The first of some keys, as messages say them.
std::string quoted(const std::vector<std::string>& keys);

class RecordReader {
 public:
  // `options.format`: a name, or "auto": each record is read by the installed format that recognises it. `candidates`:
  // how many answers the objective compares. If more, formats of answers come before those of turns, else after them:
  // some records can be read as either. `options.rename` and `ignore` hold before a record is looked at. Error(config)
  // for options that are wrong.
  RecordReader(const SourceOptions& options, int64_t candidates);

  // The record as a sample, without the place it is from. `draw`: MediaFolder::draw. Error(data) for what is wrong with
  // it. Thread-safe.
  Sample read(const DataRecord& record, const std::filesystem::path& folder, uint64_t draw = 0) const;
  // Of what the formats read beside the records, and of other names of keys.
  std::string fingerprint() const;
  // The name of the format that reads it. Error(data) if none does, or if it is not a JSON object.
  std::string format_of(const DataRecord& record) const;
  // The keys that the record itself has, in its order. Error(data) if it is not a JSON object.
  std::vector<std::string> keys_of(const DataRecord& record) const;
  const KeyNames& names() const { return names_; }

 private:
  struct Format {
    std::string name;
    std::shared_ptr<const RecordFormat> format;
    std::set<std::string> keys;
  };
  const Format& choose(const nlohmann::ordered_json& record) const;
  KeyNames names_;
  std::vector<Format> formats_;
  bool chosen_, compares_;
};

}  // namespace antiphon::data
