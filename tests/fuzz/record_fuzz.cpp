// Any bytes as JSON lines: each line is no record, or each format of records rejects it with Error(data) or makes a
// whole sample of it.
#include <cstdlib>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <antiphon/base/error.h>
#include <antiphon/base/json.h>
#include <antiphon/base/strings.h>
#include <antiphon/component/record/record_keys.h>
#include <antiphon/media/decode.h>

#include "record_formats.h"

ANTIPHON_PLUGIN(alpaca, );
ANTIPHON_PLUGIN(captioned, );
ANTIPHON_PLUGIN(conversations, );
ANTIPHON_PLUGIN(interleaved, );
ANTIPHON_PLUGIN(lhotse_cut, );
ANTIPHON_PLUGIN(messages, );
ANTIPHON_PLUGIN(nemo_manifest, );
ANTIPHON_PLUGIN(preference_record, );

using namespace antiphon;

// Formats name media; none is read here, so the decoders are not part of it.
Audio antiphon::media::decode_audio(std::string_view, int64_t, std::string_view, const MediaLimits&,
                                    std::optional<int64_t>) {
  std::abort();
}

namespace {

using Json = nlohmann::ordered_json;

void require(bool holds) {
  if (!holds) std::abort();
}

template <class Body>
void only_data_errors(Body&& body) {
  try {
    body();
  } catch (const Error& error) {
    require(error.kind() == ErrorKind::data && !error.message().empty());
  }
}

struct Format {
  std::unique_ptr<RecordFormat> format;
  std::set<std::string> keys;
};

std::vector<Format> all_formats() {
  RegisteredFormats registered;
  for (auto* add : {register_alpaca, register_captioned, register_conversations, register_interleaved,
                    register_lhotse_cut, register_messages, register_nemo_manifest, register_preference_record})
    add(registered);
  std::vector<Format> all;
  for (auto& format : registered) {
    auto keys = format->keys();
    all.push_back({std::move(format), std::move(keys)});
  }
  return all;
}

void check_json(const std::string& text) {
  JsonProblem problem;
  if (!text.empty()) parse_ordered_json(text, problem), require(problem.problem.empty());
}

void check_turns(const std::vector<SampleTurn>& turns, const Sample& sample) {
  const auto media = static_cast<int64_t>(sample.media.size());
  for (const auto& turn : turns) {
    const auto& role = turn.role;
    require(role == "system" || role == "user" || role == "assistant" || role == "tool" ||
            (role == "document" && turns.size() == 1));
    require(is_utf8(turn.reasoning)), check_json(turn.tool_calls), check_json(turn.more);
    for (const auto& part : turn.parts) require(part.media < media && part.sound < media && is_utf8(part.text));
  }
}

void check_whole(const Sample& sample, const RecordFormat& format) {
  require(!sample.turns.empty() && sample.candidates.empty() != format.compares());
  check_turns(sample.turns, sample), check_json(sample.tools);
  for (const auto& candidate : sample.candidates) {
    check_turns(candidate.turns, sample);
    for (const auto& [before, now] : candidate.media)
      require(before < sample.media.size() && now < sample.media.size());
  }
  for (const auto& ref : sample.media) {
    require(!ref.bytes.key().empty() && ref.begin >= 0 && ref.seconds > 0);
    require(!ref.channel || *ref.channel >= 0);
  }
  for (const auto& [key, text] : sample.tags) require(is_utf8(key) && is_utf8(text));
}

void read_record(const std::string& line) {
  if (!is_utf8(line)) return;
  JsonProblem problem;
  const auto record = parse_ordered_json(line, problem);
  if (!problem.problem.empty() || !record.is_object()) return;
  const std::map<std::string, MediaBytes> own{{"a.wav", MediaBytes::memory("sound", "a.wav")}};
  static const auto* formats = new auto(all_formats());
  for (const auto& one : *formats) {
    one.format->recognises(record);
    std::set<std::string> unread;
    only_data_errors([&] { records::check_keys(record, one.keys, "", unread); });
    for (const bool closed : {false, true})
      only_data_errors([&] {
        check_whole(one.format->read(record, {"/data", own, closed, line.size()}), *one.format);
      });
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  for (const auto& line : split({reinterpret_cast<const char*>(data), size}, '\n')) read_record(std::string(line));
  return 0;
}
