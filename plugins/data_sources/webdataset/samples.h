// The samples of some shards, by number.
#pragma once
#include <filesystem>
#include <vector>

#include <antiphon/component/data_source.h>

#include "record.h"

namespace antiphon::webdataset {

struct Reading {
  std::set<std::string> ignore;  // extensions
  Fields fields;
  bool skips_damaged = false;  // of an archive that is damaged somewhere the samples before it are used
};

class Samples : public Records {
 public:
  // Reads the headers of all shards once, and texts for the fingerprint, unless an index of them is kept
  // (record/kept_index.h); keeps 8 bytes a sample. Error(data) for what
  // TarWalk and member_of() refuse, for two members of one name, and if there is no sample.
  Samples(std::vector<std::filesystem::path> shards, Reading reading);
  std::optional<int64_t> size() const override { return static_cast<int64_t>(begins_.size()); }
  DataRecord record(int64_t index) const override;
  int64_t number(int64_t index) const override { return index + 1; }
  // Of names, sizes and texts; media are known by their size alone.
  std::string fingerprint() const override { return fingerprint_; }

 private:
  struct Shard {
    std::filesystem::path path;
    uint64_t size;
    int64_t first;  // of its samples
  };
  bool restore(const std::vector<std::filesystem::path>& shards, const std::string& kind);
  void keep(const std::vector<std::filesystem::path>& shards, const std::string& kind) const;
  void add(const std::filesystem::path& path, ContentHash& hash);
  void walk(const OpenFile& file, ContentHash& hash, std::string* damage);
  const Shard& shard_of(int64_t index) const;
  std::vector<Member> members_of(const OpenFile& file, uint64_t begin) const;
  std::vector<Shard> shards_;
  std::vector<uint64_t> begins_;
  Reading reading_;
  std::string fingerprint_;
  int64_t passed_over_ = 0, damaged_ = 0;  // members; archives
  std::string first_passed_;
};

}  // namespace antiphon::webdataset
