#include <antiphon/component/record/tar_index.h>

#include <fmt/format.h>

#include <antiphon/component/record/kept_index.h>

#include <algorithm>

namespace antiphon::records {
namespace {

constexpr const char* kKind = "members by name";

uint64_t name_hash(const std::string& name) { return std::stoull(content_hash(name).substr(0, 16), nullptr, 16); }

// Without its last extension; empty if it has none, or a description's.
std::string stem_of(const std::string& name) {
  const auto dot = name.rfind('.');
  const auto slash = name.rfind('/');
  if (dot == std::string::npos || (slash != std::string::npos && dot < slash) || name.ends_with(".json")) return {};
  return name.substr(0, dot);
}

}  // namespace

void TarIndex::add(const TarMember& member, size_t archive) {
  entries_.push_back({name_hash(member.name), member.header, archive});
  if (const auto stem = stem_of(member.name); !stem.empty())
    entries_.push_back({name_hash(stem), member.header, archive});
}

TarIndex::TarIndex(std::vector<std::filesystem::path> archives) : archives_(std::move(archives)) {
  if (restore()) return;
  ContentHash hash;
  for (size_t i = 0; i < archives_.size(); ++i) {
    const OpenFile file(archives_[i], ErrorKind::data);
    TarWalk walk(file);
    while (const auto member = walk.next()) {
      add(*member, i);
      hash.add(fmt::format("{}\n{} {} {}\n", member->name, i, member->offset, member->size));
    }
  }
  std::ranges::stable_sort(entries_, {}, &Entry::hash);
  check_names();
  fingerprint_ = hash.digits();
  keep();
}

// Entries, by hash. False if there are none, or if they cannot be of these archives.
bool TarIndex::restore() {
  constexpr size_t kOfEntry = 3;
  const auto kept = kept_index(archives_, kKind);
  if (!kept || kept->numbers.size() % kOfEntry) return false;
  for (size_t i = 0; i < kept->numbers.size(); i += kOfEntry) {
    const auto* at = &kept->numbers[i];
    entries_.push_back({static_cast<uint64_t>(at[0]), static_cast<uint64_t>(at[1]), static_cast<uint64_t>(at[2])});
    const bool follows = entries_.size() < 2 || entries_[entries_.size() - 2].hash <= entries_.back().hash;
    if (!follows || entries_.back().archive >= archives_.size()) return entries_.clear(), false;
  }
  fingerprint_ = kept->fingerprint;
  return true;
}

void TarIndex::keep() const {
  KeptIndex index{fingerprint_, {}};
  for (const auto& [hash, header, archive] : entries_)
    for (const auto number : {hash, header, archive}) index.numbers.push_back(static_cast<int64_t>(number));
  keep_index(archives_, kKind, index);
}

// A name of two archives would be the medium of one of them for the records of both.
void TarIndex::check_names() const {
  const auto twice = std::ranges::adjacent_find(
      entries_, [](const Entry& a, const Entry& b) { return a.hash == b.hash && a.archive != b.archive; });
  if (twice == entries_.end()) return;
  const OpenFile file(archives_[twice->archive], ErrorKind::data);
  const auto member = TarWalk(file, twice->header).next();
  fail(ErrorKind::data,
       fmt::format("{} and {} both have '{}', so that a record does not say which is meant",
                   archives_[twice->archive].string(), archives_[(twice + 1)->archive].string(),
                   member ? member->name : "one name"),
       "name each pair of a manifest and its archive as a set of its own");
}

std::optional<MediaBytes> TarIndex::find(const std::string& name) const {
  const auto range = std::ranges::equal_range(entries_, name_hash(name), {}, &Entry::hash);
  if (range.empty()) return std::nullopt;
  const auto& entry = *(range.end() - 1);
  const OpenFile file(archives_[entry.archive], ErrorKind::data);
  const auto member = TarWalk(file, entry.header).next();
  if (!member || (member->name != name && stem_of(member->name) != name))
    fail(ErrorKind::preempted, file.path().string() + " has changed while it is in use", "start again");
  return MediaBytes::member(file.path(), member->offset, member->size, member->name);
}

}  // namespace antiphon::records
