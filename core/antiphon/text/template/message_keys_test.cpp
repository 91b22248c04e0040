#include <antiphon/text/template/message_keys.h>

#include <catch2/catch_test_macros.hpp>

#include <string>

using antiphon::text::reads_of_messages;

TEST_CASE("keys of messages that a template reads") {
  const std::string loop = "{%- for message in loop_messages[1:] %}";
  for (const auto* read : {"{{ message.name }}", "{{ message['name'] }}", "{{ message[ \"name\" ] }}",
                           "{{ message.get('name', '') }}", "{% if 'name' in message %}x{% endif %}",
                           "{% if \"name\" not in message %}x{% endif %}", "{{ message . name }}"})
    CHECK(reads_of_messages(loop + read + "{% endfor %}", "name"));
  for (const auto* other : {"{{ tool.name }}", "{{ message.tool_calls[0].name }}", "{{ message.names }}", "name",
                            "{% set ns = namespace(name=1) %}", "{{ my_message.name }}", "{% if 'name' in tool %}"})
    CHECK_FALSE(reads_of_messages(loop + other + "{% endfor %}", "name"));
  CHECK(reads_of_messages("{% for m in messages %}{{ m.thinking }}{% endfor %}", "thinking"));
  CHECK_FALSE(reads_of_messages("{% for m in messages %}{{ m.content }}{% endfor %}{{ enable_thinking }}", "thinking"));
  CHECK_FALSE(reads_of_messages("{% for m in tools %}{{ m.name }}{% endfor %}", "name"));
  for (const auto* cut : {"", "for", "{% for ", "{% for m in messages", "{% for m in messages %}{{ m.", "'name'", "'"})
    CHECK_FALSE(reads_of_messages(cut, "name"));
}
