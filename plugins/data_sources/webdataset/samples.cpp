#include "samples.h"

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/log.h>
#include <antiphon/base/shown.h>
#include <antiphon/component/record/kept_index.h>

#include <algorithm>

namespace antiphon::webdataset {

namespace {

// What decides which members are whose.
std::string kind_of(const Reading& reading) {
  std::string kind = "webdataset";
  for (const auto& extension : reading.ignore) kind += " " + extension;
  if (reading.skips_damaged) kind += "\ndamaged";
  for (const auto& [key, where] : reading.fields) kind += fmt::format("\n{} = {}", key, where);
  return kind;
}

// `damage`: how the archive is damaged from there on, after which there is nothing more; nullptr: that is an error.
std::optional<records::TarMember> next_of(records::TarWalk& walk, std::string* damage) {
  try {
    return walk.next();
  } catch (const Error& error) {
    if (!damage || !walk.damaged()) throw;
    *damage = error.message();
    return std::nullopt;
  }
}

}  // namespace

Samples::Samples(std::vector<std::filesystem::path> shards, Reading reading) : reading_(std::move(reading)) {
  const auto kind = kind_of(reading_);
  if (restore(shards, kind)) return;
  ContentHash hash;
  for (const auto& path : shards) with_context(shown(path.string()), [&] { add(path, hash); });
  if (begins_.empty())
    fail(ErrorKind::data, fmt::format("{} holds no samples", shown(shards.front().string())),
         "each sample is some members with one name and different extensions, see docs/data.md");
  if (passed_over_ > 0)
    log::info(fmt::format("{} members are passed over, which have no extension or one to be ignored; the first: {}",
                          passed_over_, shown(first_passed_)));
  fingerprint_ = hash.digits();
  if (damaged_ > 0)
    log::warning(
        fmt::format("{} of {} archives are damaged; {} samples are left", damaged_, shards.size(), begins_.size()));
  else
    keep(shards, kind);  // so that it is said each time
}

// Of each shard its size and its first sample, then where samples begin. False if there is none, or if it cannot be one
// of these.
bool Samples::restore(const std::vector<std::filesystem::path>& shards, const std::string& kind) {
  const auto kept = records::kept_index(shards, kind);
  if (!kept || kept->numbers.size() <= 2 * shards.size()) return false;
  const auto of_shards = static_cast<int64_t>(2 * shards.size());
  const auto samples = std::ssize(kept->numbers) - of_shards;
  for (size_t i = 0; i < shards.size(); ++i) {
    const auto first = kept->numbers[2 * i + 1];
    if (first < 0 || first > samples || (i > 0 && first < shards_.back().first)) return shards_.clear(), false;
    shards_.push_back({shards[i], static_cast<uint64_t>(kept->numbers[2 * i]), first});
  }
  begins_.assign(kept->numbers.begin() + of_shards, kept->numbers.end());
  fingerprint_ = kept->fingerprint;
  return true;
}

void Samples::keep(const std::vector<std::filesystem::path>& shards, const std::string& kind) const {
  records::KeptIndex index{fingerprint_, {}};
  for (const auto& shard : shards_) {
    index.numbers.push_back(static_cast<int64_t>(shard.size));
    index.numbers.push_back(shard.first);
  }
  index.numbers.insert(index.numbers.end(), begins_.begin(), begins_.end());
  records::keep_index(shards, kind, index);
}

void Samples::add(const std::filesystem::path& path, ContentHash& hash) {
  const OpenFile file(path, ErrorKind::data);
  const auto before = begins_.size();
  shards_.push_back({path, file.size(), static_cast<int64_t>(before)});
  std::string damage;
  walk(file, hash, reading_.skips_damaged ? &damage : nullptr);
  if (damage.empty()) return;
  if (begins_.size() > before) begins_.pop_back();  // which may have lost members
  ++damaged_;
  log::warning(fmt::format("{}: {}; the {} samples before that are used", shown(path.string()), damage,
                           begins_.size() - before));
}

void Samples::walk(const OpenFile& file, ContentHash& hash, std::string* damage) {
  std::string key;
  std::set<std::string> extensions;
  records::TarWalk walk(file);
  while (auto tar_member = next_of(walk, damage)) {
    const auto name = tar_member->name;
    const auto member = member_of(std::move(*tar_member), reading_.ignore);
    if (!member) {
      if (passed_over_++ == 0) first_passed_ = name;
      continue;
    }
    if (extensions.empty() || member->key != key) begins_.push_back(member->member.header), extensions.clear();
    key = member->key;
    if (!extensions.insert(member->extension).second)
      fail(ErrorKind::data, fmt::format("two members of one sample are called '{}'", shown(name)));
    hash.add(fmt::format("{}\n{}\n", name, member->member.size));
    if (member->holds != Holds::media && member->member.size <= kMaxRecordBytes)
      hash.add(file.read(member->member.offset, member->member.size));
  }
}

const Samples::Shard& Samples::shard_of(int64_t index) const {
  return *(std::ranges::upper_bound(shards_, index, {}, &Shard::first) - 1);
}

std::vector<Member> Samples::members_of(const OpenFile& file, uint64_t begin) const {
  std::vector<Member> members;
  records::TarWalk walk(file, begin);
  while (auto tar_member = walk.next()) {
    auto member = member_of(std::move(*tar_member), reading_.ignore);
    if (!member) continue;
    if (!members.empty() && member->key != members.front().key) break;
    members.push_back(std::move(*member));
  }
  return members;
}

DataRecord Samples::record(int64_t index) const {
  const auto& shard = shard_of(index);
  const OpenFile file(shard.path, ErrorKind::data);
  if (file.size() != shard.size)
    fail(ErrorKind::preempted, shown(shard.path.string()) + " has changed while it is in use", "start again");
  auto record = record_of(file, members_of(file, begins_[static_cast<size_t>(index)]), reading_.fields);
  record.number = index + 1;
  return record;
}

}  // namespace antiphon::webdataset
