#include <antiphon/text/template/chat_template.h>

#include <cstdlib>
#include <filesystem>

#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>
#include <antiphon/base/files.h>
#include <antiphon/base/sample_time.h>

using namespace antiphon;
using namespace antiphon::text;
using Catch::Matchers::ContainsSubstring;
using Json = nlohmann::ordered_json;

namespace {

const Json talk = Json::parse(R"([{"role": "user", "content": " Hi "}, {"role": "assistant", "content": "Yo"}])");

std::string rendered(std::string_view source, bool opening = false) {
  return ChatTemplate::from_source(source, {{"eos_token", "</s>"}}).render(talk, {.add_generation_prompt = opening});
}

std::string failure(std::string_view source) {
  try {
    rendered(source);
  } catch (const Error& error) {
    CHECK((error.kind() == ErrorKind::config || error.kind() == ErrorKind::data));
    return error.what();
  }
  return "rendered";
}

std::string repeated(std::string_view text, size_t times) {
  std::string out;
  for (size_t i = 0; i < times; ++i) out += text;
  return out;
}

struct Folder {
  std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("antiphon-template-" + std::to_string(::getpid()));
  Folder() { std::filesystem::create_directories(path); }
  ~Folder() { std::filesystem::remove_all(path); }
};

}  // namespace

TEST_CASE("blocks take their line with them, variables do not") {
  CHECK(rendered("{% for m in messages %}\n  {% if true %}\n  {{ m.role }}\n  {% endif %}\n{% endfor %}\n") ==
        "  user\n  assistant\n");
  CHECK(rendered("a \n  {%- if true -%}  \n b {%+ endif +%}\n c\n\n") == "ab \n c\n");
  CHECK(rendered("x\n    {# note\n of two lines #}\ny {#- z -#} w") == "x\nyw");
  CHECK(rendered("a\r\n{{ '{% no tag %}' }}\rb") == "a\n{% no tag %}\nb");
}

TEST_CASE("what chat templates of models use") {
  CHECK(rendered("{% if add_generation_prompt %}go{% endif %}", true) == "go");
  CHECK(rendered("{{ messages[0].content | trim }}{{ messages[-1]['content'] ~ eos_token }}") == "HiYo</s>");
  CHECK(rendered("{{ '\xC2\xA0x\xE3\x80\x80'.strip() }}{{ 'xyx'.lstrip('x') }}") == "xyx");
  CHECK(rendered("{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + loop.index %}{% endfor %}{{ "
                 "ns.n }}") == "3");
  CHECK(rendered("{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}") == " Hi Yo");
  CHECK(rendered("{{ {'a': [1, '<\xC3\xA9>']} | tojson }}") == "{\"a\": [1, \"<\xC3\xA9>\"]}");
  CHECK(ChatTemplate::from_source("{{ strftime_now('%Y') }}", {})
            .render(talk, {.now = std::chrono::system_clock::from_time_t(40'000'000)}) == "1971");
}

TEST_CASE("a template that wants lists is recognised") {
  CHECK_FALSE(ChatTemplate::from_source("{% for m in messages %}{{ m.content }}{% endfor %}", {}).wants_lists());
  CHECK(ChatTemplate::from_source("{% for m in messages %}{% for p in m.content %}{% if p.type == 'text' %}{{ p.text "
                                  "}}{% endif %}{% endfor %}{% endfor %}",
                                  {})
            .wants_lists());
}

TEST_CASE("what a template refuses is told in its own words") {
  CHECK_THAT(failure("{{ raise_exception('roles must alternate') }}"), ContainsSubstring("roles must alternate"));
  CHECK_THAT(failure("{{ messages.gone.field }}"), ContainsSubstring("failed"));
}

TEST_CASE("malformed templates are errors") {
  for (const auto* source : {"{% if true %}", "{{ 'a }}", "{{ a", "{% for %}{% endfor %}", "{# a", "{% nonsense %}",
                             "{{ ) }}", "{{ }}", "{{ 'a' | }}", "\xFF"})
    CHECK(failure(source) != "rendered");
}

TEST_CASE("a hostile template ends in an error, not in a crash or a hang") {
  CHECK_THAT(failure(std::string(300 << 10, 'x')), ContainsSubstring("262144"));
  CHECK(failure("{% for i in range(1000000000) %}x{% endfor %}") != "rendered");
  CHECK(failure("{% for i in range(0, 10, 0) %}x{% endfor %}") != "rendered");
  CHECK(failure("{% for i in range(90000) %}{% for j in range(90000) %}{{ messages }}{% endfor %}{% endfor %}") !=
        "rendered");
  CHECK(failure("{% for i in range(90000) %}{% for j in range(90000) %}{% if messages %}{% endif %}{% endfor %}{% "
                "endfor %}") != "rendered");
  CHECK(failure("{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}") != "rendered");
  CHECK(failure("{{ " + repeated("(", 5000) + "1" + repeated(")", 5000) + " }}") != "rendered");
  CHECK(failure("{{ " + repeated("not ", 5000) + "1 }}") != "rendered");
  CHECK(failure("{{ " + repeated("[", 100000)) != "rendered");
  CHECK(failure(repeated("{% if true %}", 10000) + repeated("{% endif %}", 10000)) != "rendered");
  CHECK(rendered("{{ " + std::string(100000, ' ') + "1 }}") == "1");
  CHECK(rendered("{# " + std::string(200000, ' ') + "#}a" + std::string(10000, ' ') + "{%- if true %}b{% endif %}") ==
        "ab");
}

TEST_CASE("limits are the same each time, and grow with the conversation") {
  const std::string loop = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}";
  CHECK_THAT(failure(loop), ContainsSubstring("runs too long (more than 20"));
  CHECK(failure(loop) == failure(loop));
  CHECK_THAT(failure("{{ 'a' * 10000000000 }}"), ContainsSubstring("makes too much (more than 25"));
  CHECK_THAT(
      failure("{% for i in range(99999) %}{% for j in range(99999) %}a line of some length{% endfor %}{% endfor %}"),
      ContainsSubstring("writes too much (more than 10"));
  CHECK_THAT(failure("{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}"), ContainsSubstring("nests too deep"));
  auto many = Json::array();
  for (int i = 0; i < 3000; ++i) many.push_back({{"role", "user"}, {"content", std::string(1000, 'x')}});
  const auto copying = ChatTemplate::from_source(
      "{% for m in messages %}{{ '<' + m.role + '>' + m['content'] | trim + '</s>' }}{% endfor %}", {});
  CHECK(copying.render(many, {}).size() == 3000 * (6 + 1000 + 4));
  const SampleTime over(std::chrono::milliseconds(0));  // that of the sample which several renderings are of
  CHECK_THAT(failure("{{ 'a' }}"), ContainsSubstring("longer than the 0 s that one sample may take"));
}

TEST_CASE("what a template says is shown without its control characters, and cut") {
  const auto words = failure("{{ raise_exception('\x1b[31mred' ~ 'a' * 1000000) }}");
  CHECK_THAT(words, ContainsSubstring("\\x1b[31mred"));
  CHECK(words.find('\x1b') == std::string::npos);
  CHECK(words.size() < 1000);
}

TEST_CASE("errors name the template and the line") {
  const auto chat = ChatTemplate::from_source("a\n\n{{ 1 / 0 }}", {}, "the chat template of some/folder");
  try {
    chat.render(talk, {});
    FAIL("rendered");
  } catch (const Error& error) {
    CHECK(error.message() == "the chat template of some/folder failed: division by zero (line 3)");
    CHECK(error.kind() == ErrorKind::data);
  }
}

TEST_CASE("a directory's template comes from the file, else from the config") {
  const Folder folder;
  const auto config = folder.path / "tokenizer_config.json";
  const auto content = [&] { return ChatTemplate::load(folder.path, {}).source(); };
  CHECK_THROWS_AS(content(), Error);
  write_file_atomic(config, R"({"chat_template": "one"})", ErrorKind::internal);
  CHECK(content() == "one");
  write_file_atomic(
      config,
      R"({"chat_template": [{"name": "tool_use", "template": "two"}, {"name": "default", "template": "three"}]})",
      ErrorKind::internal);
  CHECK(content() == "three");
  write_file_atomic(folder.path / "chat_template.jinja", "four", ErrorKind::internal);
  CHECK(content() == "four");
  CHECK(ChatTemplate::load(folder.path / "chat_template.jinja", {}).source() == "four");
}
