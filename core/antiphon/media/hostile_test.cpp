// Input that is damaged, lies, or tries to reach other files: always Error(data) or an item, never more. Whatever is
// decoded here, nothing is opened meanwhile.
#include <sys/socket.h>
#include <unistd.h>

#include <fstream>
#include <random>
#include <regex>
#include <thread>

#include <antiphon/base/test_folder.h>
#include <antiphon/media/decode.h>
#include <antiphon/media/media_test.h>
#include <antiphon/media/opened_test.h>

using namespace antiphon;
using namespace antiphon::media;

namespace {

void decode_any(const std::string& name, std::string_view bytes) {
  if (name.starts_with("tone"))
    decode_audio(bytes, 16000, name.substr(4));
  else if (name.starts_with("clip"))
    decode_video(bytes, {.frames = 3, .sample_rate = 16000});
  else
    decode_image(bytes);
}

// Whether it was decoded; any error but an Error(data) in plain words fails the test, as does whatever is opened.
bool survives(const std::string& name, std::string_view bytes) {
  const Opened opened;
  bool decoded = false;
  try {
    decode_any(name, bytes);
    decoded = true;
  } catch (const Error& error) {
    static const std::regex address("0x[0-9a-f]{5,}");
    if (error.kind() != ErrorKind::data || error.message().empty() || std::regex_search(error.message(), address))
      FAIL(name << ": " << error.what());
  }
  if (const auto names = opened.names(); !names.empty()) FAIL(name << " opens " << names.front());
  return decoded;
}

const std::vector<std::string> kFiles{"rgba.png",      "baseline.jpg", "progressive.jpg", "lossy_alpha.webp",
                                      "lossless.webp", "first.gif",    "tone.wav",        "tone.flac",
                                      "tone.ogg",      "tone.mp3",     "tone.g722",       "tone.m4a",
                                      "clip.mp4",      "clip.webm",    "clip.mpg"};

int64_t resident_bytes() {
  int64_t pages = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  return resident * ::sysconf(_SC_PAGESIZE);
}

std::string big_endian(uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(value >> shift & 255);
  return bytes;
}

}  // namespace

TEST_CASE("what is opened is seen, if it is there or not, and on other threads too") {
  const auto there = (std::filesystem::path(ANTIPHON_SOURCE_DIR) / "tests/media/clip.mpg").string();
  const Opened opened;
  if (const auto& why = Opened::unwatched(); !why.empty()) SKIP("nothing is watched here: " << why);
  CHECK(std::ifstream(there).get() == 0);  // of its first four bytes, 0 0 1 186
  CHECK(std::ifstream("/nowhere/secret.ts").get() == EOF);
  std::thread([&] { std::ifstream(there).get(); }).join();
  const int guest = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK(guest >= 0);
  ::close(guest);
  CHECK(opened.names() == std::vector<std::string>{there, "/nowhere/secret.ts", there, "a socket"});
  const Opened anew;
  CHECK(anew.names().empty());
}

TEST_CASE("files cut short at 200 points") {
  for (const std::string& name : kFiles) {
    const std::string bytes = fixture(name);
    const size_t points = std::min<size_t>(200, bytes.size());
    for (size_t i = 0; i < points; ++i) survives(name, std::string_view(bytes).substr(0, i * bytes.size() / points));
    CHECK(survives(name, bytes));
  }
}

TEST_CASE("a picture that is cut short is refused, not shown in part") {
  for (const char* name : {"rgba.png", "baseline.jpg", "lossless.webp", "lossy_alpha.webp"}) {
    INFO(name);
    const std::string bytes = fixture(name);
    CHECK_FALSE(survives(name, std::string_view(bytes).substr(0, bytes.size() * 3 / 4)));
  }
}

TEST_CASE("a WAV that is cut short is refused, one that was recorded into a pipe is not") {
  std::string wav = fixture("tone.wav");
  const auto samples = decode_audio(wav, 16000, "wav").samples.size();
  const std::string message =
      refusal([&] { decode_audio(std::string_view(wav).substr(0, wav.size() - 2), 16000, "wav"); });
  CHECK(says(message, "the WAV is cut short"));
  CHECK(samples > 4);
  const size_t length = wav.find("data") + 4;
  for (const auto* unknown : {"\xff\xff\xff\xff", "\x00\xf0\xff\x7f"}) {
    wav.replace(length, 4, unknown, 4);
    CHECK(decode_audio(wav, 16000, "wav").samples.size() == samples);
  }
}

TEST_CASE("files with flipped bytes") {
  std::mt19937 random(5);
  for (const std::string& name : kFiles) {
    const std::string bytes = fixture(name);
    for (int round = 0; round < 200; ++round) {
      std::string damaged = bytes;
      // Half of the rounds hit the first 64 bytes, where the headers are.
      const size_t reach = round % 2 ? damaged.size() : std::min<size_t>(64, damaged.size());
      for (int flips = 1 + round % 4; flips > 0; --flips) damaged[random() % reach] = static_cast<char>(random());
      survives(name, damaged);
    }
  }
}

TEST_CASE("noise under every extension") {
  std::mt19937 random(6);
  for (int round = 0; round < 50; ++round) {
    std::string noise(random() % 3000, '\0');
    for (char& byte : noise) byte = static_cast<char>(random());
    for (const char* name : {"tone.mp3", "clip.mp4", "any.png"}) survives(name, noise);
  }
}

TEST_CASE("a header that claims an enormous picture costs no memory") {
  std::string png = fixture("rgba.png"), jpeg = fixture("baseline.jpg"), gif = fixture("first.gif"),
              webp = fixture("lossless.webp");
  png.replace(16, 8, big_endian(60000) + big_endian(60000));
  const size_t frame = jpeg.find(std::string_view("\xFF\xC0", 2));
  REQUIRE(frame != std::string::npos);
  jpeg.replace(frame + 5, 4, "\xFF\xDC\xFF\xDC");
  gif.replace(6, 4, "\xFF\xFF\xFF\xFF");
  webp[21] = webp[22] = webp[23] = '\xFF';
  const int64_t before = resident_bytes();
  for (const auto& [name, bytes] :
       std::initializer_list<std::pair<std::string, std::string>>{{"a.png", png}, {"a.jpg", jpeg}, {"a.gif", gif}}) {
    INFO(name);
    CHECK(says(refusal([&] { decode_image(bytes); }), "are accepted"));
  }
  CHECK_FALSE(survives("a.webp", webp));
  CHECK(resident_bytes() - before < 10'000'000);
}

TEST_CASE("a JPEG of a thousand scans is refused") {
  std::string jpeg = fixture("progressive.jpg");
  const size_t scan = jpeg.rfind(std::string_view("\xFF\xDA", 2));
  const std::string last = jpeg.substr(scan, jpeg.size() - 2 - scan);
  for (int i = 0; i < 1000; ++i) jpeg.insert(scan, last);
  CHECK(says(refusal([&] { decode_image(jpeg); }), "scans"));
}

TEST_CASE("a playlist that calls itself a video opens no other file") {
  const antiphon::testing::Folder folder;
  const std::string target = (folder.path / "secret.ts").string();
  std::ofstream(target, std::ios::binary) << fixture("clip.mpg");
  std::string outside = fixture("reference.mov");
  std::string path = target;
  REQUIRE(path.size() <= 64);
  path.insert(0, 64 - path.size(), '/');  // more slashes at the root name the same file
  for (size_t at; (at = outside.find(std::string(64, '@'))) != std::string::npos;) outside.replace(at, 64, path);
  const std::string hls = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXTINF:1.0,\nfile://" + target +
                          "\n#EXTINF:1.0,\n" + target + "\n#EXT-X-ENDLIST\n";
  std::string subtitle("GAB2\0\2\0", 7);  // as in an AVI
  subtitle.append(hls);
  const std::vector<std::string> playlists{
      hls,
      subtitle,
      "ffconcat version 1.0\nfile '" + target + "'\n",
      "ffconcat version 1.0\nfile 'file:" + target + "'\n",
      "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\na=rtpmap:96 "
      "H264/90000\n",
      "<?xml version=\"1.0\"?><MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" type=\"static\" "
      "mediaPresentationDuration=\"PT1S\"><Period><AdaptationSet "
      "mimeType=\"video/mp4\"><Representation id=\"0\" bandwidth=\"1\"><BaseURL>file://" +
          target + "</BaseURL></Representation></AdaptationSet></Period></MPD>",
      "<svg xmlns=\"http://www.w3.org/2000/svg\"><image href=\"file://" + target + "\"/></svg>",
      "file:" + target,
      outside,
  };
  for (const std::string& bytes : playlists) {
    INFO(bytes.substr(0, 40));
    bool decoded = false;
    for (const char* name : {"clip.mp4", "tone.mp3", "any.png"}) decoded = survives(name, bytes) || decoded;
    CHECK((!decoded || &bytes == &playlists.back()));  // the movie has samples of its own too
  }
}

TEST_CASE("a playlist that calls itself a medium asks no server") {
  const std::string server = "http://127.0.0.1:9/", part = server + "a.ts";
  const std::vector<std::string> playlists{
      "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXTINF:1.0,\n" + part + "\n#EXT-X-ENDLIST\n",
      "#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI=\"" + server + "key\"\n#EXTINF:1,\n" + part + "\n",
      "ffconcat version 1.0\nfile '" + part + "'\n",
      "<ASX version=\"3.0\"><Entry><Ref href=\"" + part + "\"/></Entry></ASX>",
      "[Reference]\nRef1=" + part + "\n",
      "<?xml version=\"1.0\"?><MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" type=\"static\" "
      "mediaPresentationDuration=\"PT1S\"><Period><AdaptationSet mimeType=\"video/mp4\"><Representation id=\"0\" "
      "bandwidth=\"1\"><BaseURL>" +
          part + "</BaseURL></Representation></AdaptationSet></Period></MPD>",
      "<svg xmlns=\"http://www.w3.org/2000/svg\"><image href=\"" + part + "\"/></svg>",
      part,
  };
  for (const std::string& bytes : playlists) {
    INFO(bytes.substr(0, 40));
    for (const char* name : {"clip.mp4", "tone.mp3", "any.png"}) CHECK_FALSE(survives(name, bytes));
  }
}
