// Media that records name: in parts and beside the turns, by paths and within the record, whole and in pieces.
#include <antiphon/data/sample_test.h>

#include <fmt/format.h>
#include <catch2/catch_test_macros.hpp>

using namespace antiphon;
using namespace antiphon::data;
using namespace antiphon::data::testing;
using namespace std::string_literals;

TEST_CASE("sample: media beside messages, as ms-swift and LLaMA-Factory have them") {
  const auto line = [](const std::string& text, const std::string& rest) {
    return messages_with('"' + text + '"', rest);
  };
  CHECK(parts_of(line("<image>What?", R"(, "images": ["a.png"])")) == "[/d/a.png]What?");
  CHECK(parts_of(line("What?", R"(, "images": ["a.png"])")) == "[/d/a.png]What?");
  CHECK(parts_of(line("What?", R"(, "image": "a.png", "audios": ["b.wav", "/c.wav"])")) ==
        "[/d/a.png][/d/b.wav][/c.wav]What?");
  CHECK(parts_of(line("A<image>B<audio><image>C", R"(, "images": ["a", "b"], "audios": ["c"])")) ==
        "A[/d/a]B[/d/c][/d/b]C");
  CHECK(parts_of(line("See <video>.", R"(, "videos": "v.mp4")")) == "See [/d/v.mp4].");
  CHECK(parts_of(line("<image>\\nWhat?", R"(, "images": ["a"])")) == "[/d/a]\nWhat?");  // the line end is text
  CHECK(parse_sample(line("<image>", R"(, "images": ["a"])"), "/d").turns.at(1).parts.at(0).text == "An <image>");
}

TEST_CASE("sample: parts without a path take those beside the messages") {
  const auto parts = R"([{"type": "image"}, {"type": "text", "text": "or <image>"}, {"type": "image", "image": null}])";
  CHECK(parts_of(messages_with(parts, R"(, "images": ["a", "b"])")) == "[/d/a]or <image>[/d/b]");
  CHECK(why_not(messages_with(parts, R"(, "images": ["a"])")).find("more <image> marks") != std::string::npos);
  CHECK(why_not(messages_with(parts, "")).find("'image'") != std::string::npos);
}

TEST_CASE("sample: marks of kinds that the record does not list are text") {
  const auto text = "\"Use <video> and <audio> or <image>\"";
  CHECK(parts_of(messages_with(text, "")) == "Use <video> and <audio> or <image>");
  CHECK(parts_of(messages_with(text, R"(, "images": null, "audios": ["x"])")) == "Use <video> and [/d/x] or <image>");
  const auto llava = R"({"conversations": [{"from": "human", "value": "the <video> tag"}]})"s;
  CHECK(parts_of(llava) == "the <video> tag");
  const auto page = parse_sample(R"({"image": "a.png", "conversations": [
      {"from": "human", "value": "<image>\nParse this page as Markdown."}, {"from": "gpt", "value": "Text ![fig](<image>) more"}]})",
                                 "/d");
  CHECK(page.media.size() == 1);
  CHECK(page.turns.at(1).parts.at(0).text == "Text ![fig](<image>) more");
}

TEST_CASE("sample: media beside messages are never passed over") {
  const auto refused = [](const std::string& rest) { return why_not(messages_with("\"What?\"", rest)); };
  for (const auto* key : {"img", "Imgs", "sound", "sounds", "audio_path", "image_file", "video-clips", "media",
                          "pixel_values", "image_urls", "speech", "wavs", "picture"}) {
    INFO(key);
    CHECK(refused(", \""s + key + R"(": ["a.x"])").find("may name media") != std::string::npos);
  }
  CHECK(refused(R"(, "sound": "a.wav")").find("'sound' may name media") != std::string::npos);
  CHECK(refused(R"(, "functions": [{"name": "f"}])").find("'functions' changes") != std::string::npos);
  CHECK(refused(R"(, "images": ["a", "b"], "conversations": [])")
            .find("both a list 'conversations' (conversations) and a list 'messages'") != std::string::npos);
  CHECK(why_not(messages_with("\"<image>\"", R"(, "images": ["a", "b"])")).find("2 paths are named under 'image'") !=
        std::string::npos);
  CHECK(why_not(messages_with(R"([{"type": "image", "image": "c"}])", R"(, "images": ["a"])"))
            .find("both in its turns") != std::string::npos);
  const auto inside = R"({"messages": [{"role": "user", "content": "What?", "images": ["a.png"]}]})";
  CHECK(why_not(inside).find("'messages: images' may name media") != std::string::npos);
  // What is about media, or is not a path, or names nothing, is not media.
  for (const auto* rest : {R"(, "image_id": [3], "audio_duration": 2.5, "img": [], "sound": null, "speech": "loud")",
                           R"(, "picture": "", "video": null, "tools": [])"})
    CHECK(refused(rest).empty());
}

TEST_CASE("sample: media within the record, as data: URLs") {
  const std::string url = "data:image/png;base64,Zm9vYmFy";
  const auto quoted = '"' + url + '"';
  for (const auto& record :
       {messages_with(R"([{"type": "image_url", "image_url": {"url": )" + quoted + R"(, "detail": "low"}}])", ""),
        messages_with(R"([{"type": "image_url", "image_url": )" + quoted + "}]", ""),
        messages_with(R"([{"type": "image", "image": )" + quoted + "}]", ""),
        messages_with("\"<image>\"", R"(, "images": [)" + quoted + "]"),
        R"({"conversations": [{"from": "human", "value": "<image>"}], "image": )" + quoted + "}"}) {
    const auto sample = parse_sample(record, "/d");
    REQUIRE(sample.media.size() == 1);
    CHECK(sample.media[0].bytes.read(6) == "foobar");
    CHECK(sample.media[0].bytes.name() == "data:image/png (6 B)");
    CHECK(sample.unread.empty());
    CHECK_THROWS_AS(sample.media[0].bytes.read(5), Error);
  }
  const auto sound =
      messages_with(R"([{"type": "input_audio", "input_audio": {"data": "Zm9v", "format": "wav"}}])", "");
  CHECK(parse_sample(sound, "/d").media.at(0).modality == Modality::audio);
  CHECK(parse_sample(sound, "/d").media.at(0).bytes.read(3) == "foo");
  const auto plain = messages_with(R"([{"type": "image_url", "image_url": {"url": "a.png"}}])", "");
  CHECK(parts_of(plain) == "[/d/a.png]");
}

TEST_CASE("sample: what is wrong with a URL is told") {
  const auto refused = [](const std::string& url) {
    return why_not(messages_with(R"([{"type": "image_url", "image_url": {"url": ")" + url + R"("}}])", ""));
  };
  for (const auto& [url, words] : std::vector<std::pair<std::string, std::string>>{
           {"https://x.org/a.png", "'https://x.org/a.png' is an address"},
           {"file:///a.png", "is an address"},
           {"data:image/png;base64,Zm9vYmF", "is not base64"},
           {"data:image/png;base64,", "is empty"},
           {"data:image/png,abc", "is not a data: URL in base64"},
           {"data:image/png;base64", "is not a data: URL in base64"},
           {"data:audio/wav;base64,Zm9v", "has the type 'audio/wav'; expected image/"},
           {"data:text/html;base64,Zm9v", "has the type 'text/html'"}}) {
    INFO(url);
    CHECK(refused(url).find(words) != std::string::npos);
  }
  CHECK(refused("DATA:Image/PNG;charset=x;base64,Zm9v").empty());
  CHECK(refused("data:;base64,Zm9v").empty());
}

TEST_CASE("sample: the time to find marks is linear") {
  const std::string words(3000, 'x');
  std::string text, paths;
  for (int i = 0; i < 4096; ++i) text += words + "<audio>", paths += i ? ",\"a\"" : "\"a\"";
  const auto with = [&](const std::string& list) {
    return messages_with('"' + text + '"', R"(, "images": [], "videos": [], "audios": [)" + list + "]");
  };
  CHECK(parse_sample(with(paths), "/").media.size() == 4096);
}

TEST_CASE("sample: a record has at most 4096 media, however it names them") {
  std::string paths = "\"a\"", parts = R"({"type": "image", "image": "a"})";
  const auto part = parts;
  for (int i = 1; i < 4096; ++i) paths += ",\"a\"", parts += "," + part;
  const std::string words = "names more than 4096 media";
  CHECK(parse_sample(messages_with("[" + parts + "]", ""), "/").media.size() == 4096);
  CHECK(says(why_not(messages_with("[" + parts + "," + part + "]", "")), words));
  CHECK(parse_sample(messages_with("\"x\"", R"(, "images": [)" + paths + "]"), "/").media.size() == 4096);
  CHECK(says(why_not(messages_with("\"x\"", R"(, "images": [)" + paths + ",\"a\"]")), words));
  CHECK(says(why_not(messages_with("\"x\"", R"(, "images": [)" + paths + R"(], "audio": "b")")), words));
}

TEST_CASE("sample: a part of a sound may name a piece of it") {
  const auto sound = [](const std::string& more, const std::string& part = R"("type": "audio", "audio": "a.wav")") {
    return messages_with("[{" + part + more + "}]", "");
  };
  const auto piece = [&](const std::string& more) {
    const auto ref = parse_sample(sound(more), "/d").media.at(0);
    return fmt::format("{}+{}", ref.begin, ref.seconds);
  };
  CHECK(piece("") == "0+inf");
  CHECK(piece(R"(, "offset": 0.25, "duration": 0.5)") == "0.25+0.5");
  CHECK(piece(R"(, "offset": 0, "duration": 2)") == "0+2");
  CHECK(piece(R"(, "offset": null, "duration": 2)") == "0+inf");  // how long the sound is
  CHECK(piece(R"(, "start": 1, "end": 3)") == "1+2");
  CHECK(piece(R"(, "audio_start": 1.5, "audio_end": 2)") == "1.5+0.5");
  CHECK(piece(R"(, "end": 3)") == "0+3");
  CHECK(piece(R"(, "start": 1, "end": 3, "duration": 2.0)") == "1+2");
  CHECK(parse_sample(sound(R"(, "offset": 1)", R"("type": "audio_url", "audio_url": {"url": "a.wav"})"), "/d")
            .media.at(0)
            .begin == 1);
  const auto listed =
      messages_with(R"([{"type": "audio", "offset": 1}, {"type": "audio"}])", R"(, "audios": ["a", "b"])");
  const auto media = parse_sample(listed, "/d").media;
  CHECK((media.at(0).begin == 1 && media.at(1).begin == 0));
  CHECK(says(why_not(sound(R"(, "offset": "1")")), "'offset' is not a time"));
  CHECK(says(why_not(sound(R"(, "offset": 1, "start": 1)")), "another key for the same"));
  CHECK(says(why_not(sound(R"(, "start": 3, "end": 3)")), "begins at 3 s and ends at 3 s"));
  CHECK(says(why_not(sound(R"(, "start": 1, "end": 3, "duration": 4)")), "its 'duration' is 4 s"));
  for (const auto* key : {"offset", "start", "end"})
    CHECK(says(why_not(sound(fmt::format(R"(, "{}": 1)", key), R"("type": "video", "video": "v.mp4")")),
               "names a piece of a video"));
  CHECK(why_not(sound(R"(, "duration": 1)", R"("type": "video", "video": "v.mp4")")).empty());
}

TEST_CASE("sample: how other programs would read a medium is not passed over") {
  const auto in_part = [](const std::string& key, const std::string& value, const std::string& kind = "video") {
    return messages_with(fmt::format(R"([{{"type": "{0}", "{0}": "a", "{1}": {2}}}])", kind, key, value), "");
  };
  for (const auto& [key, words] : std::vector<std::pair<std::string, std::string>>{
           {"min_pixels", "min_pixels and max_pixels of the encoder"},
           {"max_pixels", "of videos video_min_pixels and video_max_pixels"},
           {"image_max_pixels", "min_pixels and max_pixels of the encoder"},
           {"resized_height", "min_pixels and max_pixels of the encoder"},
           {"resized_width", "min_pixels and max_pixels of the encoder"},
           {"fps", "data.video.frames_per_second"},
           {"nframes", "data.video.frames"},
           {"video_fps", "data.video.frames_per_second"},
           {"video_start", "cut the video first"},
           {"video_end", "cut the video first"},
           {"audio_start", "cut the video first"},
           {"use_audio_in_video", "data.video.sound"}}) {
    INFO(key);
    const auto part = in_part(key, "4"), record = messages_with("\"x\"", ", \"" + key + "\": 4");
    CHECK((says(why_not(part), "'content: " + key + "' is 4, which would change") && says(advice(part), words)));
    CHECK(parse_sample(record, "/d").unread == std::set<std::string>{key});  // there it describes
    CHECK(why_not(in_part(key, "null")).empty());
  }
  CHECK(says(why_not(in_part("audio_end", "4", "image")), "which would change how a medium is read"));
  const auto url = R"([{"type": "image_url", "image_url": {"url": "a.png", "max_pixels": 9}}])";
  CHECK(says(why_not(messages_with(url, "")), "'image_url: max_pixels' is 9"));
}

TEST_CASE("sample: a part shows one thing") {
  const auto refused = [](const std::string& part) { return why_not(messages_with("[{" + part + "}]", "")); };
  for (const auto& [part, key] : std::vector<std::pair<std::string, std::string>>{
           {R"("type": "text", "text": "x", "image": "a.png")", "image"},
           {R"("type": "text", "text": "x", "path": "a.png")", "path"},
           {R"("type": "image", "image": "a.png", "path": "b.png")", "path"},
           {R"("type": "image", "image": "a.png", "audio": "b.wav")", "audio"},
           {R"("type": "image", "image": "a.png", "text": "x")", "text"},
           {R"("type": "image_url", "image_url": "a.png", "image": "b.png")", "image"},
           {R"("type": "input_audio", "input_audio": {"data": "Zm9v", "format": "wav"}, "audio": "a.wav")", "audio"}}) {
    INFO(part);
    CHECK(says(refused(part), "has the key '" + key + "', which would not be read"));
  }
  // As tables write it, whose parts all have the same keys.
  CHECK(refused(R"("type": "text", "text": "x", "image": null, "audio": "")").empty());
  CHECK(refused(R"("type": "image", "image": "a.png", "text": null, "url": "")").empty());
}

TEST_CASE("sample: names of files under keys that nothing reads") {
  const auto refused = [](const std::string& rest) { return why_not(messages_with("\"What?\"", rest)); };
  for (const auto* rest : {R"(, "attachments": [{"path": "a.png"}])", R"(, "files": ["data/a.PNG"])",
                           R"(, "file": "x.wav")", R"(, "more": {"inner": [["a.mp4"]]})"}) {
    INFO(rest);
    CHECK(says(refused(rest), "may name media, but is not one that is read"));
  }
  const auto inside = R"({"messages": [{"role": "user", "content": "What?", "attachments": [{"path": "a.png"}]}]})";
  CHECK(says(why_not(inside), "'messages: attachments' may name media"));
  CHECK(says(why_not(messages_with(R"([{"type": "text", "text": "x", "file": "a.png"}])", "")),
             "'content: file' may name media"));
  for (const auto* rest : {R"(, "file_name": "a.png", "images": ["data/a.png"])", R"(, "url": "https://x.org/a.png")",
                           R"(, "note": "It is in a.png", "file": "notes.txt", "ext": "png", "dotted": ".png")",
                           R"(, "source": "coco/a.jpg", "image_id": "a.jpg", "metadata": {"file": "a.jpg"})"}) {
    INFO(rest);
    CHECK(refused(rest).empty());
  }
}

TEST_CASE("sample: LLaVA-Video marks its videos as pictures") {
  const auto asked = [](const std::string& text, const std::string& rest) {
    return R"({"conversations": [{"from": "human", "value": ")" + text +
           R"("}, {"from": "gpt", "value": "An <image>"}])" + rest + "}";
  };
  const std::string video = R"(, "video": "v.mp4")";
  CHECK(parts_of(asked("<image>\\nWhat?", video)) == "[/d/v.mp4]What?");
  CHECK(parts_of(asked("<video>\\nIs <image> a mark?", video)) == "[/d/v.mp4]Is <image> a mark?");
  CHECK(parts_of(asked("<image><video>", R"(, "video": "v.mp4", "image": "a.png")")) == "[/d/a.png][/d/v.mp4]");
  CHECK(says(why_not(asked("<image>", R"(, "video": "v.mp4", "image": [])")), "more <image> marks"));
  CHECK(says(why_not(asked("<image><image>", video)), "more <image> marks than the sample has paths (1)"));
  CHECK(says(advice(asked("What?", video)), "put one <video> for each path"));
}
