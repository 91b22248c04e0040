// Keys of records as a source's data sets call them, before a layout is looked for.
#pragma once
#include <map>
#include <set>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include <antiphon/data/options.h>

namespace antiphon::data {

// What is wrong with `rename` and `ignore` of the source, whose table is `section`.
void check_key_names(const SourceOptions& source, const std::string& section, config::Problems& problems);

class KeyNames {
 public:
  // Error(config) with all that check_key_names() finds.
  explicit KeyNames(const SourceOptions& source);

  // The record with the names of a layout, without what is ignored, in its order. Error(data) if two keys get one name.
  nlohmann::ordered_json applied(nlohmann::ordered_json record) const;
  const std::set<std::string>& ignored() const { return ignored_; }
  // All keys that are renamed or ignored, as the records have them.
  std::set<std::string> all() const;
  // Other names are other data; "" if there are none.
  const std::string& fingerprint() const { return fingerprint_; }

 private:
  std::map<std::string, std::string> renamed_;  // key of the records -> key of a layout
  std::set<std::string> ignored_;
  std::string fingerprint_;
};

}  // namespace antiphon::data
