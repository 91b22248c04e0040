#include <antiphon/text/template/tekken_template.h>

#include <algorithm>
#include <iterator>
#include <string_view>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>
#include <antiphon/base/files.h>
#include <antiphon/base/json.h>
#include <antiphon/base/shown.h>
#include <antiphon/text/tokenizer/json_fields.h>
#include <antiphon/text/tokenizer/tekken_file.h>

namespace antiphon::text {
namespace {

constexpr uint64_t kMostTekkenBytes = 128 << 20;
constexpr std::string_view kVersions[] = {"v7", "v11", "v13"};  // which differ in tools only

constexpr const char* kLayout =
    "<s>{% for message in messages %}"
    "{% if not loop.first and message.role == loop.previtem.role %}"
    "{{ raise_exception('two turns of the role ' + message.role + ' follow each other') }}{% endif %}"
    "{% if message.role == 'user' %}"
    "{% if transcribe and (message.content is string or message.content | length != 1 or "
    "message.content[0].type != 'audio') %}"
    "{{ raise_exception('a transcription takes one sound and no text') }}{% endif %}"
    "[INST]"
    "{% if message.content is string %}{{ message.content }}"
    "{% else %}{% for part in message.content %}"
    "{% if part.type == 'text' %}{{ part.text }}"
    "{% elif part.type == 'audio' %}[BEGIN_AUDIO][AUDIO]"
    "{% else %}{{ raise_exception('media of the type ' + part.type + ' have no place') }}{% endif %}"
    "{% endfor %}{% endif %}"
    "[/INST]"
    "{% if transcribe %}{% if language %}lang:{{ language }}{% endif %}[TRANSCRIBE]{% endif %}"
    "{% elif message.role in ['system', 'assistant'] %}"
    "{% if message.role == 'system' %}[SYSTEM_PROMPT]{% endif %}"
    "{% if message.content is string %}{{ message.content }}"
    "{% else %}{% for part in message.content %}{{ part.text }}{% endfor %}{% endif %}"
    "{% if message.role == 'system' %}[/SYSTEM_PROMPT]{% else %}</s>{% endif %}"
    "{% else %}{{ raise_exception('the role ' + message.role + ' has no place') }}{% endif %}"
    "{% endfor %}";

}  // namespace

std::string tekken_chat_template(const std::filesystem::path& path) {
  const auto parsed = parse_json(read_file(path, ErrorKind::config, kMostTekkenBytes),
                                 {.name = kTekkenName, .fix = kSaveAgain, .skipped = {"vocab", "special_tokens"}});
  const JsonFields file(parsed, kTekkenName);
  const JsonFields config(file.object("config"), file.at("config"));
  const auto version = config.text("version");
  if (std::ranges::find(kVersions, version) == std::end(kVersions))
    fail(ErrorKind::config,
         fmt::format("{} is \"{}\": the layout of its conversations is known of v7, v11 and v13", config.at("version"),
                     shown(version)),
         "put the model's template there as chat_template.jinja, or name a file in model.llm.chat_template");
  return kLayout;
}

}  // namespace antiphon::text
