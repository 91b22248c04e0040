#include "members.h"

#include <fmt/format.h>

#include <antiphon/base/shown.h>
#include <antiphon/component/record/media_names.h>

#include <algorithm>
#include <cctype>
#include <map>

namespace antiphon::webdataset {
namespace {

const std::map<std::string, Holds, std::less<>> kTexts{
    {"json", Holds::json}, {"txt", Holds::text}, {"text", Holds::text}, {"cls", Holds::number}};
const std::set<std::string, std::less<>> kPickles{"pkl", "pickle", "pyd", "pth", "pt", "pickled"};

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

[[noreturn]] void refuse(const Member& member, const std::string& why) {
  fail(
      ErrorKind::data, fmt::format("'{}' {}", shown(member.member.name), why),
      fmt::format("leave such members out of the archives, or pass them over: source_options = {{ ignore = [\"{}\"] }}",
                  shown(member.extension)));
}

}  // namespace

std::optional<Member> member_of(records::TarMember tar_member, const std::set<std::string>& ignore) {
  const auto slash = tar_member.name.rfind('/') + 1;  // 0 if there is none
  const auto dot = tar_member.name.find('.', slash);
  if (dot == std::string::npos || dot == slash || dot + 1 == tar_member.name.size()) return std::nullopt;
  Member out{std::move(tar_member), {}, {}};
  out.key = out.member.name.substr(0, dot), out.extension = lower(out.member.name.substr(dot + 1));
  const auto last = out.extension.substr(out.extension.rfind('.') + 1);
  if (ignore.contains(out.extension) || ignore.contains(last)) return std::nullopt;
  if (kPickles.contains(last)) refuse(out, "is a pickle: reading it would run what is in it");
  if (const auto modality = records::modality_of_file(last)) return out.modality = *modality, out;
  const auto text = kTexts.find(last);
  if (text == kTexts.end()) refuse(out, "is neither text nor media by its extension");
  out.holds = text->second;
  return out;
}

}  // namespace antiphon::webdataset
