// Tar archives: their members, and the patterns that name several.
#include <antiphon/base/error.h>
#include <antiphon/base/files.h>
#include <antiphon/component/record/shards.h>
#include <antiphon/component/record/tar.h>
#include <antiphon/data/test_archives.h>
#include <antiphon/weights/test_folder.h>

#include <fmt/format.h>
#include <catch2/catch_test_macros.hpp>

#include <random>

using namespace antiphon;
using namespace antiphon::data;
using namespace antiphon::data::testing;
using weights::TestFolder;
using namespace std::string_literals;

namespace {

std::string long_name(const std::string& name, const std::string& bytes) {
  return member("././@LongLink", name + '\0', 'L') + member("short", bytes);
}

std::string pax(const std::string& key, const std::string& value) {
  std::string line;
  for (size_t n = 0; n < 5; ++n) line = fmt::format("{} {}={}\n", line.size(), key, value);
  return member("PaxHeader", line, 'x');
}

std::vector<records::TarMember> members_of(const TestFolder& folder, const std::string& bytes) {
  folder.write("a.tar", bytes);
  const OpenFile file(folder / "a.tar", ErrorKind::data);
  records::TarWalk walk(file);
  std::vector<records::TarMember> all;
  while (auto one = walk.next()) all.push_back(*one);
  return all;
}

}  // namespace

TEST_CASE("tar: members of all dialects") {
  TestFolder folder;
  const std::string deep(300, 'd');
  const auto all = members_of(
      folder, header("folder/", 0, '5') + member("./a.txt", "hello") + header("b.txt", 0, '0', "some/folder") +
                  long_name(deep + "/c.txt", "C") + pax("path", deep + "/d.txt") + member("short", "DD") +
                  member("pax_global_header", "52 comment=0123456789012345678901234567890123456789\n", 'g') +
                  member("e.txt", std::string(1000, 'e'), '\0') + kEnd + std::string(10240, '\0'));
  REQUIRE(all.size() == 5);
  CHECK((all[0].name == "a.txt" && all[0].size == 5 && all[0].offset == 1024 && all[0].header == 512));
  CHECK((all[1].name == "some/folder/b.txt" && all[1].size == 0));
  CHECK((all[2].name == deep + "/c.txt" && all[2].size == 1));
  CHECK((all[3].name == deep + "/d.txt" && all[3].size == 2));
  CHECK((all[4].name == "e.txt" && all[4].size == 1000));
  const OpenFile file(folder / "a.tar", ErrorKind::data);
  for (const auto& one : all) CHECK(records::TarWalk(file, one.header).next()->name == one.name);
  CHECK(file.read(all[3].offset, all[3].size) == "DD");
}

TEST_CASE("tar: sizes in binary, and out of extended headers") {
  TestFolder folder;
  auto block = header("a", 0);
  block.replace(124, 12, "\x80\0\0\0\0\0\0\0\0\0\0\3"s), block.replace(148, 8, "        ");
  unsigned sum = 0;
  for (const unsigned char c : block) sum += c;
  block.replace(148, 8, fmt::format("{:06o}", sum) + "\0 "s);
  CHECK(members_of(folder, block + padded("abc") + kEnd).at(0).size == 3);
  CHECK(members_of(folder, pax("size", "3") + header("b", 0) + padded("abc") + kEnd).at(0).size == 3);
}

TEST_CASE("tar: hostile archives are refused in words") {
  TestFolder folder;
  const auto refused = [&](const std::string& bytes) { return refusal_of([&] { members_of(folder, bytes); }); };
  auto damaged = kCaption + kEnd;
  damaged[5] ^= 1;
  const std::vector<std::pair<std::string, std::string>> cases{
      {damaged, "the header at byte 0 is damaged"},
      {kCaption, "cut short"},
      {kCaption + kEnd.substr(0, 100), "cut short"},
      {kCaption.substr(0, kCaption.size() - 1), "cut short"},
      {header("a", 10) + "abc", "more than the archive has left"},
      {header("a", 077777777777ULL) + kEnd, "more than the archive has left"},
      {pax("size", "18446744073709551615") + header("a", 0) + kEnd, "more than the archive has left"},
      {pax("size", "99999999999999999999999") + header("a", 0) + kEnd, "extended header at byte 0 is damaged"},
      {pax("size", "-1") + header("a", 0) + kEnd, "is damaged"},
      {member("x", "no pax", 'x') + kEnd, "is damaged"},
      {member("x", "99 path=a\n", 'x') + kEnd, "is damaged"},
      {member("x", "0 \n", 'x') + kEnd, "is damaged"},
      {header("x", 1ULL << 30, 'x') + kEnd, "more than the archive has left"},
      {member("x", std::string(2 << 20, 'x'), 'x') + kEnd, "2097152 bytes of names"},
      {member("l", std::string(5000, 'n'), 'L') + member("a", "") + kEnd, "5000 bytes of names"},
      {pax("path", std::string(5000, 'n')) + member("a", "") + kEnd, "too long"},
      {member("\xff.txt", "") + kEnd, "not UTF-8"},
      {header("link.png", 0, '2') + kEnd, "'link.png' is a link"},
      {header("hard.png", 0, '1') + kEnd, "is a link"},
      {header("device", 0, '3') + kEnd, "a device"},
      {header("sparse.wav", 0, 'S') + kEnd, "sparse file"},
      {pax("GNU.sparse.major", "1") + member("a.wav", "x") + kEnd, "sparse file"},
      {kCaption + kEnd + kCaption + kEnd, "goes on after that"},
      {std::string(600, 'x'), "is damaged, or is not of a tar"},
      {"", "cut short"},
  };
  for (const auto& [bytes, words] : cases) {
    INFO(words);
    CHECK(says(refused(bytes), words));
  }
  std::string chain;
  for (int i = 0; i < 20000; ++i) chain += pax("path", "n");
  CHECK(members_of(folder, chain + member("a", "x") + kEnd).at(0).name == "n");
}

TEST_CASE("tar: mutated archives are read or refused, never more") {
  TestFolder folder;
  std::mt19937 random(7);
  const auto whole =
      kCaption + long_name(std::string(200, 'n') + ".txt", "T") + pax("path", "p.txt") + member("q", "x") + kEnd;
  int read = 0;
  for (int round = 0; round < 1500; ++round) {
    auto bytes = whole;
    for (int edits = 1 + static_cast<int>(random() % 3); edits > 0; --edits)
      bytes[random() % bytes.size()] = static_cast<char>(random());
    if (random() % 4 == 0) bytes.resize(random() % bytes.size());
    refusal_of([&] {
      for (const auto& one : members_of(folder, bytes)) CHECK(one.offset + one.size <= bytes.size());
      ++read;
    });
  }
  CHECK(read > 20);
}

TEST_CASE("shards: patterns") {
  TestFolder folder;
  const auto names = [](const std::string& pattern) {
    std::string out;
    for (const auto& file : records::files_of(pattern)) out += (out.empty() ? "" : " ") + file.string();
    return out;
  };
  CHECK(names("a.tar") == "a.tar");
  CHECK(names("a-{008..011}.tar") == "a-008.tar a-009.tar a-010.tar a-011.tar");
  CHECK(names("a_{8..10}.tar") == "a_8.tar a_9.tar a_10.tar");
  CHECK(names("{a,b}/{0..1}.tar") == "a/0.tar a/1.tar b/0.tar b/1.tar");
  CHECK(names("audio__OP_0..2_CL_.tar") == "audio_0.tar audio_1.tar audio_2.tar");
  for (const auto* name : {"b.tar", "a.tar", "c.txt"}) folder.write(name, "");
  CHECK(names((folder / "*.tar").string()) == (folder / "a.tar").string() + " " + (folder / "b.tar").string());
  for (const auto* bad : {"{0..", "a}{0..1}", "{0..{1..2}}", "{3..1}", "{0..99999999999}", "{a..c}",
                          "{0..1000}{0..2000}", "nowhere/*.tar", "{9223372036854775807..9223372036854775807}"}) {
    INFO(bad);
    CHECK_FALSE(refusal_of([&] { records::files_of(bad); }).empty());
  }
}
