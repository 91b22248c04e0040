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
constexpr std::string_view kVersions[] = {"v3", "v7", "v11", "v13"};

// The tools stand before the last question, from v13 on before the first; so does what v3 has in place of a system
// turn. Calls are counted off by their results, which are sorted by them from v11 on.
constexpr const char* kBegin =
    "{% set at = namespace(tools=-1, system='', calls=[], results=0) %}"
    "{% for message in messages %}"
    "{% if message.role == 'user' and (version < 13 or at.tools < 0) %}{% set at.tools = loop.index0 %}{% endif %}"
    "{% endfor %}"
    "{% macro text_of(content) %}"
    "{% if content is string %}{{ content }}"
    "{% else %}{% for part in content %}{{ part.text }}{% endfor %}{% endif %}"
    "{% endmacro %}"
    "{% macro check_id(id) %}"
    "{% if version < 13 and id | length != 9 %}"
    "{{ raise_exception('the id ' + id + ' of a call has not nine letters and digits') }}{% endif %}"
    "{% endmacro %}"
    "<s>{% for message in messages %}"
    "{% if not loop.first and message.role == loop.previtem.role and message.role != 'tool' %}"
    "{{ raise_exception('two turns of the role ' + message.role + ' follow each other') }}{% endif %}";

constexpr const char* kTools =
    "{% if tools and loop.index0 == at.tools %}"
    "{% if version < 7 %}{{ raise_exception('tools have no place before v7') }}{% endif %}"
    "[AVAILABLE_TOOLS][{% for tool in tools %}{% set of = tool.function or tool %}"
    "{\"type\": \"function\", \"function\": {\"name\": {{ of.name | tojson }}, "
    "\"description\": {{ (of.description or '') | tojson }}, \"parameters\": {{ (of.parameters or {}) | tojson }}}}"
    "{% if not loop.last %}, {% endif %}{% endfor %}][/AVAILABLE_TOOLS]"
    "{% endif %}";

// A picture behind all text goes before it.
constexpr const char* kUser =
    "{% if transcribe and (message.content is string or message.content | length != 1 or "
    "message.content[0].type != 'audio') %}"
    "{{ raise_exception('a transcription takes one sound and no text') }}{% endif %}"
    "[INST]"
    "{% if version < 7 and loop.index0 == at.tools and at.system %}{{ at.system + '\\n\\n' }}{% endif %}"
    "{% if message.content is string %}{{ message.content }}"
    "{% else %}{% set parts = message.content %}"
    "{% if parts[-1].type == 'image' and parts | selectattr('type', 'equalto', 'text') | list | length == "
    "parts | length - 1 %}{% set parts = parts[-1:] + parts[:-1] %}{% endif %}"
    "{% for part in parts %}"
    "{% if part.type == 'text' %}{{ part.text }}"
    "{% elif part.type == 'image' %}[IMG]"
    "{% elif part.type == 'audio' and version >= 7 %}[BEGIN_AUDIO][AUDIO]"
    "{% else %}{{ raise_exception('media of the type ' + part.type + ' have no place') }}{% endif %}"
    "{% endfor %}{% endif %}"
    "[/INST]"
    "{% if transcribe %}{% if language %}lang:{{ language }}{% endif %}[TRANSCRIBE]{% endif %}";

constexpr const char* kCalls =
    "{% if message.tool_calls %}"
    "{% if version < 7 %}{{ raise_exception('calls of tools have no place before v7') }}{% endif %}"
    "{% set at.calls = message.tool_calls %}{% set at.results = 0 %}"
    "{% if version < 11 %}[TOOL_CALLS][{% endif %}"
    "{% for call in message.tool_calls %}{% if call.id %}{{ check_id(call.id) }}{% endif %}"
    "{% if version < 11 %}"
    "{\"name\": {{ call.function.name | tojson }}, \"arguments\": {{ call.function.arguments | tojson }}"
    "{% if call.id %}, \"id\": {{ call.id | tojson }}{% endif %}}{% if not loop.last %}, {% endif %}"
    "{% else %}"
    "[TOOL_CALLS]{{ call.function.name }}{% if version < 13 and call.id %}[CALL_ID]{{ call.id }}{% endif %}"
    "[ARGS]{{ call.function.arguments | tojson }}"
    "{% endif %}{% endfor %}"
    "{% if version < 11 %}]{% endif %}{% endif %}";

constexpr const char* kResult =
    "{% if version < 7 %}{{ raise_exception('results of tools have no place before v7') }}{% endif %}"
    "{% if at.results >= at.calls | length %}{{ raise_exception('there are more results than calls') }}{% endif %}"
    "{% set call = at.calls[at.results] %}{% set at.results = at.results + 1 %}"
    "{% if version >= 11 and message.tool_call_id and call.id and message.tool_call_id != call.id %}"
    "{{ raise_exception('results do not stand in the order of their calls') }}{% endif %}"
    "[TOOL_RESULTS]"
    "{% if version < 13 %}"
    "{% if not message.tool_call_id %}{{ raise_exception('a result has no tool_call_id') }}{% endif %}"
    "{{ check_id(message.tool_call_id) }}{{ message.tool_call_id }}[TOOL_CONTENT]"
    "{% endif %}"
    "{{ text_of(message.content) }}[/TOOL_RESULTS]";

std::string layout(std::string_view version) {
  return fmt::format("{{% set version = {} %}}", version.substr(1)) + kBegin + "{% if message.role == 'user' %}" +
         kTools + kUser +
         "{% elif message.role == 'system' and version < 7 %}"
         "{% if not loop.first %}{{ raise_exception('a system turn is the first before v7') }}{% endif %}"
         "{% set at.system = text_of(message.content) %}"
         "{% elif message.role == 'system' %}[SYSTEM_PROMPT]{{ text_of(message.content) }}[/SYSTEM_PROMPT]"
         "{% elif message.role == 'assistant' %}"
         "{% if version < 7 and (loop.first or loop.previtem.role == 'system') %}"
         "{{ raise_exception('an answer stands before the first question') }}{% endif %}"
         "{{ text_of(message.content).rstrip(' ') }}" +
         kCalls + "</s>{% elif message.role == 'tool' %}" + kResult +
         "{% else %}{{ raise_exception('the role ' + message.role + ' has no place') }}{% endif %}"
         "{% endfor %}";
}

}  // namespace

std::string tekken_chat_template(const std::filesystem::path& path) {
  const auto parsed = parse_json(read_file(path, ErrorKind::config, kMostTekkenBytes),
                                 {.name = kTekkenName, .fix = kSaveAgain, .skipped = {"vocab", "special_tokens"}});
  const JsonFields file(parsed, kTekkenName);
  const JsonFields config(file.object("config"), file.at("config"));
  const auto version = config.text("version");
  if (std::ranges::find(kVersions, version) == std::end(kVersions))
    fail(ErrorKind::config,
         fmt::format("{} is \"{}\": the layout of its conversations is known of v3, v7, v11 and v13",
                     config.at("version"), shown(version)),
         "put the model's template there as chat_template.jinja, or name a file in model.llm.chat_template");
  return layout(version);
}

}  // namespace antiphon::text
