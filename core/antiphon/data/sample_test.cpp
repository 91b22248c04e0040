#include <antiphon/base/error.h>
#include <antiphon/data/test_records.h>

#include <fmt/format.h>
#include <catch2/catch_test_macros.hpp>

#include <random>

using namespace antiphon;
using namespace antiphon::data;
using namespace antiphon::data::testing;
using namespace std::string_literals;

namespace {

// The Error(data) of a line, or "" if it is read.
std::string refusal(std::string_view line) {
  try {
    parse_sample(line, "/data");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::data);
    CHECK_FALSE(error.message().empty());
    return error.message();
  }
  return {};
}

// What it says helps.
std::string advice(std::string_view line) {
  try {
    parse_sample(line, "/data");
  } catch (const Error& error) {
    return error.fix();
  }
  return {};
}

const std::string kMessages =
    R"({"id": 7, "task": "caption", "n": 3, "messages": [{"role": "system", "content": "be brief"},
 {"role": "user", "content": [{"type": "image", "image": "a.png"}, {"type": "text", "text": "What? <image>"}, {"type": "audio", "audio": "/x/b.wav", "stream": "speech"}]},
 {"role": "assistant", "content": "A bird."}]})";
const std::string kLlava =
    R"({"id": "x", "image": ["a.png", "b.png"], "audio": "c.wav", "conversations": [{"from": "human", "value": "<image>\nand <image><audio> what?"},
 {"from": "gpt", "value": "An <image> of a bird"}, {"from": "human", "value": "sure?"}, {"from": "gpt", "value": ""}]})";

}  // namespace

TEST_CASE("sample: the layout with messages") {
  const auto sample = parse_sample(kMessages, "/data");
  CHECK(sample.id == "7");
  CHECK(sample.tags == std::map<std::string, std::string>{{"task", "caption"}});
  REQUIRE(sample.turns.size() == 3);
  CHECK(sample.turns[0].role == "system");
  CHECK(sample.turns[0].parts[0].text == "be brief");
  const auto& parts = sample.turns[1].parts;
  REQUIRE(parts.size() == 3);
  CHECK((parts[0].media == 0 && parts[1].media == -1 && parts[2].media == 1));
  CHECK(parts[1].text == "What? <image>");  // text, not a place
  REQUIRE(sample.media.size() == 2);
  CHECK(sample.media[0].bytes == "/data/a.png");
  CHECK(sample.media[1].bytes == "/x/b.wav");
  CHECK(sample.media[1].modality == Modality::audio);
  CHECK(sample.media[1].stream == "speech");
}

TEST_CASE("sample: a thought of an assistant's turn") {
  const auto with = [](std::string_view role, std::string_view thought) {
    return fmt::format(R"({{"messages": [{{"role": "user", "content": "a"}}, {{"role": "{}", "content": "b", )"
                       R"("reasoning_content": {}}}]}})",
                       role, thought);
  };
  CHECK(parse_sample(with("assistant", R"("hm")"), "/data").turns[1].reasoning == "hm");
  CHECK(parse_sample(with("assistant", "null"), "/data").turns[1].reasoning.empty());
  CHECK(refusal(with("assistant", "7")).find("'reasoning_content'; expected a string") != std::string::npos);
  CHECK(refusal(with("user", R"("hm")")).find("only an assistant's") != std::string::npos);
}

TEST_CASE("sample: the layout with conversations") {
  const auto sample = parse_sample(kLlava, "/data");
  REQUIRE(sample.turns.size() == 4);
  CHECK(sample.turns[1].role == "assistant");
  CHECK(sample.turns[1].parts[0].text == "An <image> of a bird");  // an answer's text is text
  const auto& parts = sample.turns[0].parts;
  REQUIRE(parts.size() == 5);
  CHECK(parts[0].media == 0);
  CHECK(parts[1].text == "and ");
  CHECK(parts[2].media == 1);
  CHECK(parts[3].media == 2);
  CHECK(parts[4].text == " what?");
  CHECK(sample.media[1].bytes == "/data/b.png");
  CHECK(sample.media[2].modality == Modality::audio);
  CHECK(sample.turns[3].parts.size() == 1);
}

namespace {

std::string messages_with(const std::string& content, const std::string& rest) {
  return R"({"messages": [{"role": "user", "content": )" + content +
         R"(}, {"role": "assistant", "content": "An <image>"}])" + rest + "}";
}

// The parts of the first turn: texts, and paths in brackets.
std::string parts_of(const std::string& line) {
  const auto sample = parse_sample(line, "/d");
  std::string out;
  for (const auto& part : sample.turns.at(0).parts)
    out += part.media < 0 ? part.text : "[" + sample.media.at(static_cast<size_t>(part.media)).bytes.name() + "]";
  return out;
}

}  // namespace

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
  CHECK(refusal(messages_with(parts, R"(, "images": ["a"])")).find("more <image> marks") != std::string::npos);
  CHECK(refusal(messages_with(parts, "")).find("'image'") != std::string::npos);
}

TEST_CASE("sample: marks of kinds that the record does not list are text") {
  const auto text = "\"Use <video> and <audio> or <image>\"";
  CHECK(parts_of(messages_with(text, "")) == "Use <video> and <audio> or <image>");
  CHECK(parts_of(messages_with(text, R"(, "images": null, "audios": ["x"])")) == "Use <video> and [/d/x] or <image>");
  const auto llava = R"({"conversations": [{"from": "human", "value": "the <video> tag"}]})"s;
  CHECK(parts_of(llava) == "the <video> tag");
}

TEST_CASE("sample: media beside messages are never passed over") {
  const auto refused = [](const std::string& rest) { return refusal(messages_with("\"What?\"", rest)); };
  for (const auto* key : {"img", "Imgs", "sound", "sounds", "audio_path", "image_file", "video-clips", "media",
                          "pixel_values", "image_urls", "speech", "wavs", "picture"}) {
    INFO(key);
    CHECK(refused(", \""s + key + R"(": ["a.x"])").find("may name media") != std::string::npos);
  }
  CHECK(refused(R"(, "sound": "a.wav")").find("'sound' may name media") != std::string::npos);
  CHECK(refused(R"(, "functions": [{"name": "f"}])").find("'functions' changes") != std::string::npos);
  CHECK(refused(R"(, "images": ["a", "b"], "conversations": [])")
            .find("both a list 'conversations' (conversations) and a list 'messages'") != std::string::npos);
  CHECK(refusal(messages_with("\"<image>\"", R"(, "images": ["a", "b"])")).find("2 paths are named under 'image'") !=
        std::string::npos);
  CHECK(refusal(messages_with(R"([{"type": "image", "image": "c"}])", R"(, "images": ["a"])"))
            .find("both in its turns") != std::string::npos);
  const auto inside = R"({"messages": [{"role": "user", "content": "What?", "images": ["a.png"]}]})";
  CHECK(refusal(inside).find("'messages: images' may name media") != std::string::npos);
  // What is about media, or is not a path, or names nothing, is not media.
  for (const auto* rest : {R"(, "image_id": [3], "audio_duration": 2.5, "img": [], "sound": null, "speech": "loud")",
                           R"(, "picture": "", "video": null, "tools": [])"})
    CHECK(refused(rest).empty());
}

TEST_CASE("sample: keys that nothing reads are noted") {
  const auto sample =
      parse_sample(messages_with("\"What?\"", R"(, "bbox": [1, 2], "task": "x", "weight": 0.5, "score": 1)"), "/");
  CHECK(sample.unread == std::set<std::string>{"bbox", "weight"});
  CHECK(sample.tags.at("task") == "x");
  const auto inside = parse_sample(R"({"messages": [{"role": "user", "content": "x", "loss": false}]})", "/");
  CHECK(inside.unread == std::set<std::string>{"messages: loss"});
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
    return refusal(messages_with(R"([{"type": "image_url", "image_url": {"url": ")" + url + R"("}}])", ""));
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

TEST_CASE("sample: calls of tools, their results and their descriptions") {
  const auto sample = parse_sample(
      R"({"tools": "[{\"type\": \"function\", \"function\": {\"name\": \"f\", \"a\": 1}}]", "messages": [{"role": "user", "content": "x"},
          {"role": "assistant", "content": null, "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": "{\"z\": 1, \"b\": [2]}"}}]},
          {"role": "tool", "tool_call_id": "c1", "name": "f", "content": "3"}, {"role": "assistant", "content": "y", "tool_calls": []}]})",
      "/");
  CHECK(sample.tools == R"([{"type":"function","function":{"name":"f","a":1}}])");
  REQUIRE(sample.turns.size() == 4);
  CHECK(sample.turns[1].tool_calls == R"([{"type":"function","function":{"name":"f","arguments":{"z":1,"b":[2]}}}])");
  CHECK(sample.turns[1].parts.empty());
  CHECK((sample.turns[2].role == "tool" && sample.turns[2].more == R"({"tool_call_id":"c1","name":"f"})"));
  CHECK(sample.turns[3].tool_calls.empty());
  CHECK(sample.tags.empty());
  const auto called = [](const std::string& calls) {
    return refusal(R"({"messages": [{"role": "assistant", "content": "", "tool_calls": )" + calls + "}]}");
  };
  CHECK(called("7").find("'tool_calls' is not a list of objects") != std::string::npos);
  CHECK(called("[{}]").find("does not name a function and its arguments") != std::string::npos);
  CHECK(called(R"([{"name": "f", "arguments": "x"}])").find("neither an object nor a text") != std::string::npos);
  CHECK(called(R"([{"name": "f", "arguments": {}}])").empty());
  CHECK(refusal(messages_with("\"x\"", R"(, "tools": {"name": "f"})")).find("'tools' is not a list of objects") !=
        std::string::npos);
  const auto user =
      R"({"messages": [{"role": "user", "content": "x", "tool_calls": [{"name": "f", "arguments": {}}]}]})";
  CHECK(refusal(user).find("'messages: tool_calls' changes") != std::string::npos);
}

TEST_CASE("sample: a system text beside the turns is the first turn") {
  const auto sample = parse_sample(messages_with("\"What?\"", R"(, "system": "Be brief.")"), "/");
  CHECK((sample.turns.at(0).role == "system" && sample.turns.at(0).parts.at(0).text == "Be brief."));
  CHECK(refusal(R"({"messages": [{"role": "system", "content": "x"}], "system": "y"})").find("both a key 'system'") !=
        std::string::npos);
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
  CHECK(says(refusal(messages_with("[" + parts + "," + part + "]", "")), words));
  CHECK(parse_sample(messages_with("\"x\"", R"(, "images": [)" + paths + "]"), "/").media.size() == 4096);
  CHECK(says(refusal(messages_with("\"x\"", R"(, "images": [)" + paths + ",\"a\"]")), words));
  CHECK(says(refusal(messages_with("\"x\"", R"(, "images": [)" + paths + R"(], "audio": "b")")), words));
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
  CHECK(says(refusal(sound(R"(, "offset": "1")")), "'offset' is not a time"));
  CHECK(says(refusal(sound(R"(, "offset": 1, "start": 1)")), "another key for the same"));
  CHECK(says(refusal(sound(R"(, "start": 3, "end": 3)")), "begins at 3 s and ends at 3 s"));
  CHECK(says(refusal(sound(R"(, "start": 1, "end": 3, "duration": 4)")), "its 'duration' is 4 s"));
  for (const auto* key : {"offset", "start", "end"})
    CHECK(says(refusal(sound(fmt::format(R"(, "{}": 1)", key), R"("type": "video", "video": "v.mp4")")),
               "names a piece of a video"));
  CHECK(refusal(sound(R"(, "duration": 1)", R"("type": "video", "video": "v.mp4")")).empty());
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
    CHECK((says(refusal(part), "'content: " + key + "' is 4, which would change") && says(advice(part), words)));
    CHECK(parse_sample(record, "/d").unread == std::set<std::string>{key});  // there it describes
    CHECK(refusal(in_part(key, "null")).empty());
  }
  CHECK(says(refusal(in_part("audio_end", "4", "image")), "which would change how a medium is read"));
  const auto url = R"([{"type": "image_url", "image_url": {"url": "a.png", "max_pixels": 9}}])";
  CHECK(says(refusal(messages_with(url, "")), "'image_url: max_pixels' is 9"));
}

TEST_CASE("sample: a part shows one thing") {
  const auto refused = [](const std::string& part) { return refusal(messages_with("[{" + part + "}]", "")); };
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
  const auto refused = [](const std::string& rest) { return refusal(messages_with("\"What?\"", rest)); };
  for (const auto* rest : {R"(, "attachments": [{"path": "a.png"}])", R"(, "files": ["data/a.PNG"])",
                           R"(, "file": "x.wav")", R"(, "more": {"inner": [["a.mp4"]]})"}) {
    INFO(rest);
    CHECK(says(refused(rest), "may name media, but is not one that is read"));
  }
  const auto inside = R"({"messages": [{"role": "user", "content": "What?", "attachments": [{"path": "a.png"}]}]})";
  CHECK(says(refusal(inside), "'messages: attachments' may name media"));
  CHECK(says(refusal(messages_with(R"([{"type": "text", "text": "x", "file": "a.png"}])", "")),
             "'content: file' may name media"));
  for (const auto* rest : {R"(, "file_name": "a.png", "images": ["data/a.png"])", R"(, "url": "https://x.org/a.png")",
                           R"(, "note": "It is in a.png", "file": "notes.txt", "ext": "png", "dotted": ".png")",
                           R"(, "source": "coco/a.jpg", "image_id": "a.jpg", "metadata": {"file": "a.jpg"})"}) {
    INFO(rest);
    CHECK(refused(rest).empty());
  }
}

TEST_CASE("sample: what only a template knows of a turn goes to it, and other words on learning are not passed over") {
  const auto sample = parse_sample(
      R"({"messages": [{"role": "user", "name": "Ann", "content": "x"}, {"role": "assistant", "content": "y", "thinking": "hm", "reasoning": "so"}]})",
      "/");
  CHECK(sample.turns.at(0).more == R"({"name":"Ann"})");
  CHECK(sample.turns.at(1).more == R"({"reasoning":"so","thinking":"hm"})");
  CHECK(sample.unread.empty());
  const auto talk = parse_sample(
      R"({"conversations": [{"from": "human", "value": "x", "name": "Ann"}, {"from": "gpt", "value": "y", "reasoning_content": "hm"}]})",
      "/");
  CHECK((talk.turns.at(0).more == R"({"name":"Ann"})" && talk.turns.at(1).reasoning == "hm"));
  const auto turn = [](const std::string& role, const std::string& more) {
    return refusal(R"({"messages": [{"role": "user", "content": "x"}, {"role": ")" + role + R"(", "content": "y", )" +
                   more + "}]}");
  };
  for (const auto* more : {R"("train": false)", R"("train": 0)", R"("loss_scale": 0.5)", R"("loss_scale": 2)"}) {
    INFO(more);
    CHECK(says(turn("assistant", more), "which is not followed"));
  }
  CHECK(says(turn("user", R"("train": true)"), "'train' of a turn of role 'user' is true"));
  CHECK(turn("assistant", R"("train": true, "loss_scale": 1.0, "weight": 1)").empty());
  CHECK(turn("user", R"("train": false)").empty());
  const auto beside = [](const std::string& rest) { return refusal(messages_with("\"x\"", rest)); };
  CHECK(says(beside(R"(, "label": false)"), "'label' changes what the sample says or teaches"));
  CHECK(says(beside(R"(, "history": [["a", "b"]])"), "'history' changes"));
  CHECK(beside(R"(, "label": true, "history": [])").empty());
  CHECK(beside(R"(, "label": 3, "history": null)").empty());
  const auto calls = R"({"conversations": [{"from": "human", "value": "x"}, {"from": "gpt", "value": "y"},
      {"from": "function_call", "value": "{\"name\": \"f\", \"arguments\": {}}", "thinking": "hm"}]})";
  CHECK(says(refusal(calls), "have a thought or a name of their own"));
}

TEST_CASE("sample: a developer is the system, and paths may stand as Hugging Face writes them") {
  const auto told = parse_sample(
      R"({"messages": [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "x"}]})", "/");
  CHECK(told.turns.at(0).role == "system");
  const auto* path = R"({"path": "a.png", "bytes": null})";
  CHECK(parts_of(messages_with("\"x\"", std::string(R"(, "images": [)") + path + "]")) == "[/d/a.png]x");
  CHECK(parts_of(messages_with("\"x\"", std::string(R"(, "image": )") + path)) == "[/d/a.png]x");
  CHECK(parts_of(messages_with(std::string(R"([{"type": "image", "image": )") + path + "}]", "")) == "[/d/a.png]");
  CHECK(says(refusal(messages_with("\"x\"", R"(, "images": [{"path": "a.png", "bytes": "Zm9v"}])")), "not a path"));
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
  CHECK(says(refusal(asked("<image>", R"(, "video": "v.mp4", "image": [])")), "more <image> marks"));
  CHECK(says(refusal(asked("<image><image>", video)), "more <image> marks than the sample has paths (1)"));
  CHECK(says(advice(asked("What?", video)), "put one <video> for each path"));
}

TEST_CASE("sample: everything malformed is refused, with what was wrong") {
  const auto user = [](const std::string& content) {
    return R"({"messages": [{"role": "user", "content": )" + content + "}]}";
  };
  const auto llava = [](const std::string& rest) {
    return R"({"conversations": [{"from": "human", "value": "<image>"}])" + rest + "}";
  };
  const std::vector<std::pair<std::string, std::string>> cases{
      {"", "not valid JSON"},
      {"{", "not valid JSON"},
      {"{} {}", "not valid JSON"},
      {"{'messages': []}", "not valid JSON"},
      {R"({"messages": [],})", "not valid JSON"},
      {R"({"messages": NaN})", "not valid JSON"},
      {"\0"s, "not valid JSON"},
      {R"({"a": "\ud800"})", "not valid JSON"},
      {std::string(100000, '['), "nested more than 64 levels deep"},
      {"{\"id\": " + std::string(60000, '[') + std::string(60000, ']') + "}", "nested more than 64 levels deep"},
      {"{\"messages\": \"\xff\"}", "UTF-8"},
      {"{\"messages\": \"\xc0\xaf\"}", "UTF-8"},
      {"\xed\xa0\x80", "UTF-8"},
      {"null", "null"},
      {"3", "number"},
      {"\"text\"", "string"},
      {"[]", "array"},
      {"{}",
       "or a 'recording' with 'supervisions', or a MixedCut's 'tracks' (lhotse_cut), or a list 'messages' (messages), "
       "or"},
      {R"({"messages": {}})", "or a list 'messages'"},
      {R"({"messages": null, "conversations": 3})", "or a list 'messages'"},
      {R"({"messages": []})", "the conversation is empty"},
      {R"({"messages": [3]})", "an element of 'messages'"},
      {R"({"messages": [{}]})", "'role'"},
      {R"({"messages": [{"role": 3, "content": "x"}]})", "'role'"},
      {R"({"messages": [{"role": "user"}]})", "'content'"},
      {R"({"messages": [{"role": "robot", "content": "x"}]})", "role 'robot' is unknown"},
      {R"({"messages": [{"role": "", "content": "x"}]})", "role '' is unknown"},
      {user("null"), "'content' is neither"},
      {user("{}"), "'content' is neither"},
      {user("[3]"), "an element of 'content'"},
      {user("[{}]"), "'type'"},
      {user(R"([{"type": "smell", "smell": "x"}])"), "type 'smell'"},
      {user(R"([{"type": "video"}])"), "'video'"},
      {user(R"([{"type": "text"}])"), "'text'"},
      {user(R"([{"type": "text", "text": 3}])"), "'text'"},
      {user(R"([{"type": "image"}])"), "'image'"},
      {user(R"([{"type": "image", "image": ""}])"), "path is empty"},
      {user(R"([{"type": "image", "image": ["a"]}])"), "'image'"},
      {user(R"([{"type": "image", "image": "a\u0000.png"}])"), "NUL"},
      {user(R"([{"type": "audio", "audio": "a", "stream": 3}])"), "'stream'"},
      {R"({"messages": [{"role": "assistant", "content": [{"type": "image", "image": "a"}]}]})",
       "assistant turn holds media"},
      {R"({"messages": [{"role": "system", "content": [{"type": "audio", "audio": "a"}]}]})",
       "system turn holds media"},
      {R"({"conversations": []})", "the conversation is empty"},
      {R"({"conversations": [{"from": "human", "value": "<video>"}], "videos": []})", "more <video> marks"},
      {R"({"conversations": ["x"]})", "an element of 'conversations'"},
      {R"({"conversations": [{"value": "x"}]})", "'from'"},
      {R"({"conversations": [{"from": "human"}]})", "'value'"},
      {R"({"conversations": [{"from": "robot", "value": "x"}]})", "role 'robot'"},
      {llava(R"(, "images": ["a"], "image": "b")"), "both 'image' and 'images'"},
      {llava(R"(, "image": [])"), "more <image> marks"},
      {llava(R"(, "image": ["a", "b"])"), "2 paths are named under 'image' but the text marks 1"},
      {llava(R"(, "image": "a", "audio": "b")"), "1 paths are named under 'audio' but the text marks 0"},
      {llava(R"(, "image": {})"), "neither a path nor a list"},
      {llava(R"(, "image": ["a", 3])"), "not a path"},
      {llava(R"(, "image": "")"), "path is empty"},
  };
  CHECK(cases.size() >= 30);
  for (const auto& [line, words] : cases) {
    INFO(line.substr(0, 200));
    const auto message = refusal(line);
    INFO(message);
    CHECK(message.find(words) != std::string::npos);
  }
}

TEST_CASE("sample: mutated lines are read or refused, never more") {
  std::mt19937 random(11);
  const std::string alphabet = "{}[]\",:\\<>imageudo0123456789 \n\t\xff\xc3\x80" + "\0"s;
  int read = 0;
  for (int round = 0; round < 6000; ++round) {
    std::string line = round % 2 ? kMessages : kLlava;
    for (int edits = 1 + static_cast<int>(random() % 4); edits > 0; --edits) {
      const size_t at = random() % line.size(), n = std::min<size_t>(random() % 12, line.size() - at);
      switch (random() % 4) {
        case 0: line[at] = alphabet[random() % alphabet.size()]; break;
        case 1: line.erase(at, n); break;
        case 2: line.insert(at, 1, alphabet[random() % alphabet.size()]); break;
        default: line.insert(random() % line.size(), line.substr(at, n));
      }
      if (line.empty()) line = "{";
    }
    if (!refusal(line).empty()) continue;
    ++read;
    const auto sample = parse_sample(line, "/data");
    for (const auto& turn : sample.turns)
      for (const auto& part : turn.parts) CHECK(part.media < static_cast<int64_t>(sample.media.size()));
  }
  CHECK(read > 100);
}
