// Tar archives as a data source, and beside JSON lines.
#include <antiphon/base/error.h>
#include <antiphon/data/test_archives.h>
#include <antiphon/weights/test_folder.h>

#include <fmt/format.h>
#include <catch2/catch_test_macros.hpp>

using namespace antiphon;
using namespace antiphon::data;
using namespace antiphon::data::testing;
using weights::TestFolder;
using namespace std::string_literals;

namespace {

// The set that these bytes are; `name` of the file.
RecordSet archive(const TestFolder& folder, const std::string& bytes, config::Value::Table options = {}) {
  folder.write("set.tar", bytes);
  auto source = source_of(folder / "set.tar", options.empty() ? "auto" : "webdataset");
  source.source_options = std::move(options);
  return RecordSet(source);
}

std::string answer_of(const Sample& sample) { return sample.turns.back().parts.at(0).text; }

}  // namespace

TEST_CASE("archive: what members are called is renamed and ignored as in other sources") {
  TestFolder folder;
  folder.write("set.tar", member("0.json", R"({"picture": "0.png", "videos": ["x.mp4"]})") + member("0.png", "PNG0") +
                              member("0.alt.txt", "A cat.") + kEnd);
  auto source = source_of(folder / "set.tar");
  source.rename = config::Value::Table{{"picture", "image"}, {"alt", "caption"}}, source.ignore = {"videos"};
  const auto sample = RecordSet(source).sample(0);
  CHECK(media_in(sample) == "PNG0");
  CHECK(answer_of(sample) == "A cat.");
}

TEST_CASE("webdataset: members that share a name are a sample") {
  TestFolder folder;
  const auto set = archive(
      folder,
      kCaption + member("._1.png", "mac") + member("1.txt", " A dog.\n") + member("1.left.JPG", "L") +
          member("1.right.jpg", "R") + member("1.cls", "7") +
          member(
              "dir/2.json",
              R"({"messages": [{"role": "user", "content": [{"type": "audio", "audio": "2.wav"}]}, {"role": "assistant", "content": "hm"}]})") +
          member("dir/2.wav", "W") + kEnd);
  REQUIRE(set.size() == 3);
  const auto first = set.sample(0), second = set.sample(1), third = set.sample(2);
  CHECK((first.id == "0" && first.line == 1 && answer_of(first) == "A cat." && media_in(first) == "PNG0"));
  CHECK(first.media[0].bytes.name() == (folder / "set.tar").string() + ": 0.png");
  CHECK(
      (second.id == "1" && answer_of(second) == "A dog." && media_in(second, 0) == "L" && media_in(second, 1) == "R"));
  CHECK((third.id == "dir/2" && answer_of(third) == "hm" && media_in(third) == "W"));
  CHECK(set.at_line(2) == 1);
}

TEST_CASE("webdataset: an archive of texts is not text") {
  TestFolder folder;
  CHECK(archive(folder, member("0.txt", "\n{\"messages\": []}\n") + member("0.png", "P") + kEnd).size() == 1);
}

TEST_CASE("webdataset: several shards, and what belongs together") {
  TestFolder folder;
  for (int i = 0; i < 3; ++i)
    folder.write(fmt::format("s-{}.tar", i), member(fmt::format("{}.txt", i), fmt::format("text {}", i)) +
                                                 member(fmt::format("{}.png", i), "P") + member("x.txt", "more") +
                                                 member("x.png", "Q") + kEnd);
  const RecordSet set(source_of(folder / "s-{0..2}.tar"));
  REQUIRE(set.size() == 6);
  CHECK((answer_of(set.sample(4)) == "text 2" && answer_of(set.sample(5)) == "more" && set.line(5) == 6));
  CHECK(RecordSet(source_of(folder / "s-*.tar")).fingerprint() == set.fingerprint());
  folder.write("s-2.tar", member("2.txt", "text 3") + member("2.png", "P") + member("x.txt", "more") +
                              member("x.png", "Q") + kEnd);
  CHECK(RecordSet(source_of(folder / "s-{0..2}.tar")).fingerprint() != set.fingerprint());
  CHECK(says(refusal_of([&] { RecordSet(source_of(folder / "s-{0..3}.tar")); }), "s-3.tar"));
  folder.write("s-1.tar", kCaption + kEnd);  // while it is in use
  CHECK_THROWS_AS(set.sample(2), Error);
}

TEST_CASE("webdataset: what cannot be read is refused, and can be passed over") {
  TestFolder folder;
  const auto refused = [&](const std::string& bytes) { return refusal_of([&] { archive(folder, bytes); }); };
  for (const auto* name : {"0.pkl", "0.pickle", "0.pyd", "0.pt", "0.pth", "0.emb.pkl"})
    CHECK(says(refused(kCaption + member(name, "x") + kEnd), "is a pickle: reading it would run what is in it"));
  CHECK(says(refused(kCaption + member("0.npy", "x") + kEnd), "ignore = [\"npy\"]"));
  CHECK(says(refused(kCaption + member("0.png", "x") + kEnd), "two members of one sample"));
  CHECK(says(refused(member("readme", "x") + kEnd), "holds no samples"));
  CHECK(says(refused(kCaption), "cut short"));
  const auto set = archive(
      folder,
      kCaption + member("0.pkl", "x") + member("1.pkl", "x") + member("2.txt", "t") + member("2.png", "x") + kEnd,
      {{"ignore", config::Value::Array{config::Value("pkl")}}});
  CHECK(set.size() == 2);
  CHECK(answer_of(set.sample(1)) == "t");
  folder.write("a.tar.gz", "\x1f\x8b and so on");
  CHECK(says(refusal_of([&] { RecordSet(source_of(folder / "a.tar.gz")); }), "is compressed"));
}

TEST_CASE("webdataset: of a damaged archive the samples before the damage are used, if that is wanted") {
  TestFolder folder;
  const auto one = [](int i) {
    return member(fmt::format("{}.txt", i), fmt::format("text {}", i)) + member(fmt::format("{}.png", i), "P");
  };
  const config::Value::Table skip{{"damaged", "skip"}};
  const auto whole = one(0) + one(1) + one(2);
  for (size_t bytes = 0; bytes <= whole.size(); ++bytes) {
    if (bytes % 512 > 1 && bytes % 512 < 511) continue;
    INFO(bytes);
    const auto cut = whole.substr(0, bytes);
    CHECK(says(refusal_of([&] { archive(folder, cut, {{"damaged", "refuse"}}); }), "cut short"));
    // A sample is known to be whole if the first member of the next one is there.
    constexpr size_t kMember = 512 + 6;
    const auto size = static_cast<int64_t>(bytes < one(0).size() + kMember       ? 0
                                           : bytes < 2 * one(0).size() + kMember ? 1
                                                                                 : 2);
    if (size == 0) {
      CHECK(says(refusal_of([&] { archive(folder, cut, skip); }), "holds no samples"));
      continue;
    }
    const auto set = archive(folder, cut, skip);
    REQUIRE(set.size() == size);
    for (int64_t i = 0; i < size; ++i)
      CHECK((answer_of(set.sample(i)) == fmt::format("text {}", i) && media_in(set.sample(i)) == "P"));
  }
  auto damaged = whole + kEnd;
  damaged[2 * one(0).size() + 10] ^= 1;  // in the header of the third sample
  CHECK(archive(folder, damaged, skip).size() == 1);
  CHECK(says(refusal_of([&] { archive(folder, one(0) + member("1.pkl", "x") + one(2), skip); }), "is a pickle"));
  CHECK(
      says(refusal_of([&] { archive(folder, one(0) + member("1.png", "", '2') + one(2) + kEnd, skip); }), "is a link"));
  CHECK(archive(folder, whole + kEnd, skip).size() == 3);
}

TEST_CASE("webdataset: a bad sample is bad alone") {
  TestFolder folder;
  const std::string png = member("1.png", "P");
  const std::vector<std::pair<std::string, std::string>> cases{
      {member("1.json", "{") + png, "'1.json' is not valid JSON"},
      {member("1.json", "[1]") + png, "is a JSON array; expected an object"},
      {member("1.json", std::string(100000, '[')) + png, "64 levels"},
      {member("1.txt", "\xff") + png, "'1.txt' is not valid UTF-8"},
      {member("1.cls", "seven") + member("1.txt", "t") + png, "'1.cls' is not"},
      {member("1.cls", "1.5") + member("1.txt", "t") + png, "is not a whole number"},
      {member("1.json", R"({"text": "a"})") + member("1.txt", "b") + png, "two members say what 'text' is"},
      {member("1.json", R"({"image": "2.png", "caption": "c"})") + png, "'1.png' is not among them"},
      {member("1.txt", std::string((16 << 20) + 1, 'x')) + png, "at most 16.0 MiB"},
      {png, "of no layout that is known"},
  };
  for (const auto& [bytes, words] : cases) {
    INFO(words);
    const auto set = archive(folder, kCaption + bytes + member("2.txt", "t") + member("2.png", "x") + kEnd);
    REQUIRE(set.size() == 3);
    CHECK(says(refusal_of([&] { set.sample(1); }), words));
    CHECK((answer_of(set.sample(0)) == "A cat." && answer_of(set.sample(2)) == "t"));
  }
}

TEST_CASE("webdataset: names are labels, never paths") {
  TestFolder folder;
  folder.write("secret.png", "the secret");
  const auto set = archive(folder, member("../../secret.txt", "t") + member("../../secret.png", "own bytes") +
                                       member("/etc/1.txt", "t") + member("/etc/1.png", "P") + kEnd);
  REQUIRE(set.size() == 2);
  CHECK((media_in(set.sample(0)) == "own bytes" && media_in(set.sample(1)) == "P"));
}

TEST_CASE("webdataset: what an archive says names no file of the machine") {
  TestFolder folder;
  folder.write("private.png", "a secret");
  const auto record = [&](const std::string& name) {
    return member("0.json", R"({"images": [")" + name +
                                R"("], "messages": [{"role": "user", "content": "<image>?"}, )"
                                R"({"role": "assistant", "content": "a"}]})");
  };
  for (const auto& name : {(folder / "private.png").string(), "private.png"s, "../private.png"s}) {
    folder.write("a.tar", record(name) + kEnd);
    const RecordSet set(source_of(folder / "a.tar", "webdataset"));
    CHECK(says(refusal_of([&] { set.sample(0); }), "did not come with the record"));
  }
}

TEST_CASE("webdataset: a folder that Energon has prepared") {
  TestFolder folder;
  const auto vqa = [](const std::string& key, const std::string& answer) {
    return member(key + ".jpg", key) + member(key + ".json", R"([{"q": "What?", "a": [")" + answer + R"("]}])") +
           member(key + ".extra.txt", "unused");
  };
  std::filesystem::create_directories(folder / ".nv-meta");
  folder.write("s_0.tar", vqa("0", "zero") + vqa("1", "one") + kEnd), folder.write("s_1.tar", vqa("2", "two") + kEnd),
      folder.write("s_2.tar", vqa("3", "three") + kEnd);
  folder.write(".nv-meta/dataset.yaml",
               "__module__: megatron.energon\n__class__: VQAWebdataset\nfield_map:\n  image: png,jpg\n  context: "
               "json[0][q]\n  answers: json[0][a]\n");
  folder.write(".nv-meta/split.yaml", "split_parts:\n  train:\n  - s_{0..1}.tar\n  val:\n  - s_2.tar\nexclude: []\n");
  const auto opened = [&](const std::string& part) {
    auto source = source_of(folder.path(), "webdataset");
    source.source_options = config::Value::Table{{"part", part}};
    return RecordSet(source);
  };
  const RecordSet set(source_of(folder.path()));
  REQUIRE(set.size() == 3);
  const auto sample = set.sample(1);
  CHECK((sample.id == "1" && answer_of(sample) == "one" && media_in(sample) == "1"));
  CHECK(sample.turns[0].parts.at(1).text == "What?");
  CHECK(answer_of(opened("val").sample(0)) == "three");
  CHECK(says(refusal_of([&] { opened("tset"); }), "has no part 'tset'; it has train, val"));
  folder.write(".nv-meta/split.yaml", "split_parts:\n  train: [s_0.tar, s_1.tar]\nexclude: [s_0.tar]\n");
  CHECK(RecordSet(source_of(folder.path())).size() == 1);
  folder.write(".nv-meta/split.yaml", "split_parts:\n  train:\n  - s_{0..2}.tar\nexclude:\n  - s_{0..1}.tar\n");
  CHECK(RecordSet(source_of(folder.path())).size() == 1);
  folder.write(".nv-meta/split.yaml", "split_parts:\n  train: [s_0.tar]\nexclude: [s_0.tar/1]\n");
  CHECK(says(refusal_of([&] { RecordSet(source_of(folder.path())); }), "only whole shards"));
  folder.write(".nv-meta/split.yaml", "split_parts: 3\n");
  CHECK(says(refusal_of([&] { RecordSet(source_of(folder.path())); }), "has no map 'split_parts'"));
  std::filesystem::remove(folder / ".nv-meta/split.yaml");
  CHECK(says(refusal_of([&] { RecordSet(source_of(folder.path())); }), "split.yaml is not there"));
  folder.write(".nv-meta/split.yaml", "split_parts:\n  train: [s_0.tar]\n");
  folder.write(".nv-meta/dataset.yaml", "sample_loader: sample_loader.py:get\n");
  CHECK(says(refusal_of([&] { RecordSet(source_of(folder.path())); }),
             "names code under 'sample_loader', which is not run"));
  folder.write(".nv-meta/dataset.yaml", "field_map:\n  image: jpg\n  caption: json[0][none]\n");
  CHECK(says(refusal_of([&] { RecordSet(source_of(folder.path())); }), "nothing at 'json[0][none]'"));
  for (const std::string type :
       {"SimilarityInterleaved", "Interleaved", "MultiChoiceVQA", "ImageClassification", "Image"})
    for (const auto& said :
         {"__class__: " + type + "Webdataset\n", "sample_type:\n  __class__: " + type + "Sample\n"}) {
      folder.write(".nv-meta/dataset.yaml", said + "field_map:\n  images: jpg\n");
      CHECK(says(refusal_of([&] { RecordSet(source_of(folder.path())); }), "samples of the type " + type + ", which"));
    }
}

TEST_CASE("webdataset: a metadataset of Energon says what to write in its place") {
  TestFolder folder;
  const auto refusal = [&](const std::string& split, const std::string& part = "train") {
    folder.write("blend.yaml", "__module__: megatron.energon\n__class__: MetadatasetV2\nsplits:\n  train:\n" + split +
                                   "  val:\n    path: held\n");
    auto source = source_of(folder / "blend.yaml", "webdataset");
    source.source_options = config::Value::Table{{"part", part}};
    return refusal_of([&] { RecordSet{source}; });
  };
  const auto source = [&](const std::string& name, const std::string& more) {
    return "{ path = \"" + (folder / name).string() + "\"" + more + " }";
  };
  const auto blend = refusal(
      "    blend:\n    - path: a\n      weight: 2.5\n      subflavors: {x: 1}\n    - path: b\n      split_part: "
      "test\n");
  CHECK(says(blend, "is a metadataset of Energon"));
  CHECK(says(blend, "write for its part 'train': data.blend = \"by_weight\" and data.train.sources = [" +
                        source("a", ", weight = 2.5") + ", " +
                        source("b", ", source = \"webdataset\", source_options = { part = \"test\" }") + "]"));
  const auto repeated = refusal("    blend_epochized:\n    - {path: a, repetitions: 3}\n    - {path: /far/b}\n");
  CHECK(says(repeated, "data.blend = \"by_size\" and data.train.sources = [" + source("a", ", weight = 3") +
                           ", { path = \"/far/b\" }]"));
  CHECK(
      says(refusal("    concat:\n    - path: a\n"), "\"by_size\" and data.train.sources = [" + source("a", "") + "]"));
  CHECK(says(refusal("    datasets:\n    - {path: a, weight: 1}\n"),
             "\"by_weight\" and data.train.sources = [" + source("a", ", weight = 1") + "]"));
  CHECK(says(refusal("    path: a\n"), "'train': data.train.sources = [" + source("a", "") + "]"));
  CHECK(says(refusal("    path: a\n", "val"),
             source("held", ", source = \"webdataset\", source_options = { part = \"val\" }")));
  for (const char* other : {"    join:\n    - path: a\n", "    blend:\n    - path: a.yaml\n",
                            "    blend:\n    - path: a\n      subset: {range: [0%, 50%]}\n",
                            "    blend:\n    - concat:\n      - path: a\n"}) {
    CHECK(says(refusal(other), "write one [[data.train.sources]] with a 'path' for each"));
    CHECK_FALSE(says(refusal(other), "write for its part"));
  }
  CHECK(says(refusal("    path: a\n", "tset"), "write one [[data.train.sources]]"));
  CHECK(says(refusal_of([&] { RecordSet(source_of(folder / "blend.yaml")); }), "is a metadataset of Energon"));
}

TEST_CASE("json lines: several files, and media in archives") {
  TestFolder folder;
  const auto line = [](const std::string& name, const std::string& more = "") {
    return R"({"audio_filepath": ")" + name + R"(", "text": ")" + name + "\"" + more + "}\n";
  };
  folder.write("m_0.json", line("a.wav") + "\n" + line("b-sub1.wav", R"(, "shard_id": 0)")),
      folder.write("m_1.json", line("sub/c.wav") + line("d.wav"));
  folder.write("audio_0.tar", member("a.wav", "A") + member("b.wav", "B") + kEnd),
      folder.write("audio_1.tar", member("sub/c.wav", "C") + kEnd);
  auto source = source_of(folder / "m__OP_0..1_CL_.json", "json_lines");
  source.source_options = config::Value::Table{{"archives", (folder / "audio_{0..1}.tar").string()}};
  const RecordSet set(source);
  REQUIRE(set.size() == 4);
  for (const auto& [index, bytes] : {std::pair{0, "A"}, {1, "B"}, {2, "C"}})
    CHECK(media_in(set.sample(index)) == bytes);
  CHECK((set.line(0) == 1 && set.line(1) == 3 && set.line(2) == 4 && set.sample(3).line == 5));
  CHECK(says(refusal_of([&] { media_in(set.sample(3)); }), "d.wav"));
  const auto before = set.fingerprint();
  folder.write("audio_1.tar", member("sub/c.wav", "CC") + kEnd);
  CHECK(RecordSet(source).fingerprint() != before);
  folder.write("audio_1.tar", member("a.wav", "another") + member("sub/c.wav", "C") + kEnd);
  CHECK(says(refusal_of([&] { RecordSet{source}; }), "both have 'a.wav'"));
  folder.write("audio_1.tar", "x");
  CHECK(says(refusal_of([&] { RecordSet{source}; }), "audio_1.tar"));
}
