// Members of a shard by their names: which sample is theirs, and what they hold.
#pragma once
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include <antiphon/component/media_item.h>
#include <antiphon/component/record/tar.h>

namespace antiphon::webdataset {

enum class Holds { json, text, number, media };

struct Member {
  records::TarMember member;
  std::string key, extension;  // "dir/0001" and "left.jpg" of "dir/0001.left.JPG"
  Holds holds = Holds::media;
  Modality modality = Modality::image;  // of media
  std::string base_name() const { return member.name.substr(member.name.rfind('/') + 1); }
};

// The key is all before the first dot of the name's last part, as WebDataset has it. Nothing for names that have no
// extension, or begin with a dot, and for extensions to be ignored. Error(data) for pickles, which are programs, and
// for extensions that say neither text nor media.
std::optional<Member> member_of(records::TarMember member, const std::set<std::string>& ignore);

}  // namespace antiphon::webdataset
