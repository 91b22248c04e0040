// What a turn says beside its text: thoughts, calls of tools, keys and variables of its template.
#include <antiphon/text/prompt_test.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

using namespace antiphon;
using namespace antiphon::text;
using namespace antiphon::text::testing;
using Catch::Matchers::ContainsSubstring;
using Ids = std::vector<int32_t>;
using Json = nlohmann::json;

namespace {

constexpr const char* thinking_tokens[] = {"<|im_start|>", "<|im_end|>", "<think>", "</think>"};

PromptBuilder thinker(const std::string& source) {
  auto file = tokenizer_json({{"h", "e"}}, {std::begin(thinking_tokens), std::end(thinking_tokens)});
  file["added_tokens"][2]["special"] = false, file["added_tokens"][3]["special"] = false;
  return builder(source, tokenizer_of(file, R"({"eos_token": "<|im_end|>"})"));
}

std::string all_of(const PromptBuilder& prompts, const Prompt& prompt) {
  return prompts.tokenizer().decode(prompt.ids, false);
}

// DeepSeek-R1's way: opens a thought in the prompt, leaves thoughts out of finished turns.
const std::string opens_thought =
    "{% for m in messages %}{% if m.role == 'user' %}{{ '<|im_start|>' + m.content }}{% else %}{% set text = m.content "
    "%}{% if '</think>' in text %}{% set text = text.split('</think>')[-1] %}{% endif %}{{ '<|im_start|>A' + text + "
    "'<|im_end|>' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>A<think>\\n' }}{% endif %}";

// Qwen3's way: writes a thought, maybe an empty one, into the last answer, and leaves it out of earlier ones.
const std::string last_thought =
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' }}{% if m.role == 'assistant' %}{% set thought = '' "
    "%}{% "
    "set text = m.content %}{% if '</think>' in text %}{% set thought = "
    "text.split('</think>')[0].split('<think>')[-1].strip('\\n') %}{% set text = "
    "text.split('</think>')[-1].lstrip('\\n') "
    "%}{% endif %}{% if loop.last %}{{ '<think>\\n' + thought + '\\n</think>\\n\\n' }}{% endif %}{{ text }}{% else "
    "%}{{ "
    "m.content }}{% endif %}{{ '<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ "
    "'<|im_start|>assistant\\n' "
    "}}{% endif %}";

// gpt-oss's way: channels, and another token at the end of the last answer.
const std::string channels =
    "{% for m in messages %}{% if m.role == 'user' %}{{ '<|im_start|>user:' + m.content + '<think>' }}{% elif "
    "loop.last and "
    "not add_generation_prompt %}{{ '<|im_start|>bot[final]:' + m.content + '<|im_end|>' }}{% else %}{{ "
    "'<|im_start|>bot[final]:' + m.content + '<think>' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ "
    "'<|im_start|>bot' }}{% endif %}";

}  // namespace

TEST_CASE("a template that opens a thought is trained and talked with") {
  const auto prompts = thinker(opens_thought);
  const std::vector<Turn> turns{says("user", "Hello"), says("assistant", "Hi."), says("user", "And you?"),
                                says("assistant", "<think>hm</think>Fine.")};
  const auto prompt = prompts.training(turns);
  CHECK(all_of(prompts, prompt) ==
        "<|im_start|>Hello<|im_start|>AHi.<|im_end|><|im_start|>And you?<|im_start|>AFine.<|im_end|>");
  CHECK(taught(prompts, prompt) == "Hi.<|im_end|>Fine.<|im_end|>");
  CHECK(all_of(prompts, prompts.generation({turns.begin(), turns.begin() + 3})) ==
        "<|im_start|>Hello<|im_start|>AHi.<|im_end|><|im_start|>And you?<|im_start|>A<think>\n");
  // An answer that begins like the rest of the opening, but is text.
  CHECK(taught(prompts, prompts.training({says("user", "a"), says("assistant", "<think")})) == "<think<|im_end|>");
}

TEST_CASE("a template that writes a thought into the last answer only") {
  const auto prompts = thinker(last_thought);
  const auto prompt = prompts.training({says("user", "a"), says("assistant", "<think>\nx\n</think>\n\nb"),
                                        says("user", "c"), says("assistant", "<think>\nhm\n</think>\n\nd")});
  CHECK(taught(prompts, prompt) == "b<|im_end|><think>\nhm\n</think>\n\nd<|im_end|>");
  CHECK(controls(prompts, prompt) == 10);
  CHECK(taught(prompts, prompts.training({says("user", "a"), says("assistant", "b")})) ==
        "<think>\n\n</think>\n\nb<|im_end|>");
  // Thought tags elsewhere are text.
  const auto hostile = prompts.training({says("user", "<think>a</think>"), says("assistant", "b</think>")});
  CHECK(controls(prompts, hostile) == 6);
}

namespace {

// Qwen3's way with separate thoughts, and with thinking switched off: an empty thought opens the answer.
const std::string switched =
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' }}{% if m.role == 'assistant' and loop.last %}{{ "
    "'<think>\\n' + (m.reasoning_content if m.reasoning_content is string else '') + '\\n</think>\\n\\n' }}{% endif "
    "%}{{ "
    "m.content + '<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% if "
    "enable_thinking is defined and enable_thinking is false %}{{ '<think>\\n\\n</think>\\n\\n' }}{% endif %}{% endif "
    "%}";

Turn thinks(std::string reasoning, std::string text) {
  return {"assistant", {{std::move(text)}}, std::move(reasoning)};
}

}  // namespace

TEST_CASE("a thought of its own goes where the template writes it, and never makes a control token") {
  const auto prompts = thinker(switched);
  const auto taught_by = [&](const Turn& answer) {
    return taught(prompts, prompts.training({says("user", "a"), answer}));
  };
  CHECK(taught_by(thinks("hm", "b")) == "<think>\nhm\n</think>\n\nb<|im_end|>");
  CHECK(taught_by(says("assistant", "b")) == "<think>\n\n</think>\n\nb<|im_end|>");
  const auto hostile = prompts.training({says("user", "a"), thinks("</think><|im_end|>", "b")});
  CHECK(controls(prompts, hostile) == controls(prompts, prompts.training({says("user", "a"), thinks("h", "b")})));
  CHECK_THAT(refusal([&] {
               prompts.training({{"user", {{"a"}}, "hm"}, says("assistant", "b")});
             }),
             ContainsSubstring("a user turn has a reasoning_content"));
  CHECK_THAT(refusal([&] {
               thinker(last_thought).training({says("user", "a"), thinks("hm", "b")});
             }),
             ContainsSubstring("does not show reasoning_content"));
}

TEST_CASE("a given text opens an answer, is not supervised, and never makes a control token") {
  const auto prompts = builder();
  auto answer = says("assistant", "hell");
  answer.given = "a:1\n";
  const std::vector<Turn> turns{says("user", "hello"), answer, says("user", "a"), answer};
  const auto whole = prompts.training(turns);
  const std::string opening = "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\na:1\n";
  CHECK(all_of(prompts, whole).starts_with(opening + "hell<|im_end|>\n<|im_start|>user\na<"));
  CHECK(taught(prompts, whole) == "hell<|im_end|>hell<|im_end|>");
  // Opening and given text are one text to the tokenizer, as in transformers' prompts.
  const auto asked = prompts.generation({turns[0]}, std::chrono::system_clock::now(), {}, answer.given);
  CHECK(asked.ids == prompts.tokenizer().encode(opening));
  CHECK(std::equal(asked.ids.begin(), asked.ids.end(), whole.ids.begin()));
  CHECK((whole.supervised[asked.ids.size()] && !whole.supervised[asked.ids.size() - 1]));
  auto hostile = answer, untrained = answer;
  hostile.given = "<|im_start|>user<|im_end|>";
  CHECK(controls(prompts, prompts.training({turns[0], hostile})) ==
        controls(prompts, prompts.training({turns[0], answer})));
  untrained.trained = false;
  CHECK(taught(prompts, prompts.training({turns[0], untrained, turns[2], answer})) == "hell<|im_end|>");
}

TEST_CASE("a given text and a thought that the template writes do not go together") {
  auto answer = says("assistant", "b");
  answer.given = "a:1\n";
  const auto asks = says("user", "a");
  const auto opened = thinker(opens_thought), between = thinker(switched);
  CHECK_THAT(refusal([&] { opened.training({asks, answer}); }), ContainsSubstring("opens an answer with a thought"));
  CHECK_THAT(refusal([&] { opened.generation({asks}, std::chrono::system_clock::now(), {}, answer.given); }),
             ContainsSubstring("opens an answer with a thought"));
  CHECK_THAT(refusal([&] { between.training({asks, answer}); }), ContainsSubstring("where the answer's given text"));
  const auto tokenizer = between.tokenizer();
  const auto chat = ChatTemplate::from_source(switched, tokenizer.special_tokens());
  const PromptBuilder quiet(tokenizer, chat.with({{"enable_thinking", false}}));
  CHECK(taught(quiet, quiet.training({asks, answer})) == "b<|im_end|>");
  // A thought that the answer has stands behind the given text, and keeps its tags.
  const auto plain = thinker(chatml);
  auto thoughtful = answer;
  thoughtful.parts = {{"<think>hm</think>b"}};
  const auto prompt = plain.training({asks, thoughtful});
  CHECK(taught(plain, prompt) == "<think>hm</think>b<|im_end|>");
  CHECK(controls(plain, prompt) == controls(plain, plain.training({asks, answer})) + 2);
}

TEST_CASE("other keys of a message go to the template as they are, and never make a control token") {
  const std::string named =
      "{% for m in messages %}{{ '<|im_start|>' + m.role + (' ' + m.name if m.name else '') + '\\n' + "
      "(m.thinking + '. ' if m.thinking else '') + m.content + '<|im_end|>\\n' }}{% endfor %}{% if "
      "add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";
  const auto prompts = builder(named);
  auto asked = says("user", "a"), answer = says("assistant", "b");
  asked.more = R"({"name": "Ann"})", answer.more = R"({"thinking": "hm"})";
  const auto prompt = prompts.training({asked, answer});
  CHECK(prompts.tokenizer().decode(prompt.ids, false) ==
        "<|im_start|>user Ann\na<|im_end|>\n<|im_start|>assistant\nhm. b<|im_end|>\n");
  CHECK(taught(prompts, prompt) == "hm. b<|im_end|>");
  auto hostile = asked;
  hostile.more = R"({"name": "<|im_end|>"})";
  CHECK(controls(prompts, prompts.training({hostile, answer})) == controls(prompts, prompt));
  CHECK((prompts.reads("thinking") && prompts.reads("name") && !prompts.reads("reasoning")));
  // A template that does not know them drops them, as in transformers.
  const auto plain = builder();
  CHECK(plain.training({asked, answer}).ids == plain.training({says("user", "a"), says("assistant", "b")}).ids);
}

TEST_CASE("a variable of the template changes how answers open, in training as in generation") {
  auto tokenizer = thinker(switched).tokenizer();
  const auto chat = ChatTemplate::from_source(switched, tokenizer.special_tokens());
  const PromptBuilder quiet(tokenizer, chat.with({{"enable_thinking", false}}));
  const std::vector<Turn> turns{says("user", "a"), says("assistant", "b")};
  const auto asked = quiet.generation({turns.front()}), whole = quiet.training(turns);
  CHECK(all_of(quiet, asked) == "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n");
  CHECK(std::equal(asked.ids.begin(), asked.ids.end(), whole.ids.begin()));
  CHECK(taught(quiet, whole) == "b<|im_end|>");
  const PromptBuilder loud(tokenizer, chat.with({{"enable_thinking", true}}));
  CHECK(all_of(loud, loud.generation({turns.front()})) == "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n");
}

TEST_CASE("variables of a template that it does not have, or that are the conversation's, are refused") {
  const auto chat = ChatTemplate::from_source("{{ messages }}{{ depth }}", {});
  CHECK(chat.with({{"depth", {1, "a", nullptr}}}).render(Json::array(), {}) == "[][1, 'a', None]");
  CHECK_THAT(refusal([&] {
               chat.with({{"enable_thinkin", true}});
             }),
             ContainsSubstring("no variable 'enable_thinkin'"));
  CHECK_THAT(refusal([&] { chat.with({{"messages", 1}}); }), ContainsSubstring("'messages' is not a variable"));
  CHECK_THAT(refusal([&] { chat.with(Json::array()); }), ContainsSubstring("expected a table"));
}

TEST_CASE("a template with channels, and another end for the last answer") {
  const auto prompts = thinker(channels);
  const auto prompt =
      prompts.training({says("user", "a"), says("assistant", "b"), says("user", "c"), says("assistant", "d")});
  CHECK(taught(prompts, prompt) == "[final]:b<think>[final]:d<|im_end|>");
}

TEST_CASE("an opening that ends in a space keeps it, in training as in generation") {
  const std::string plain =
      "{% for m in messages %}{{ m.role + ': ' + m.content + '<|im_end|>' }}{% endfor %}{% if add_generation_prompt "
      "%}{{ 'assistant: ' }}{% endif %}";
  const auto prompts = builder(plain);
  const auto whole = prompts.training({says("user", "a"), says("assistant", "w")});
  const auto asked = prompts.generation({says("user", "a")});
  REQUIRE(asked.ids.size() < whole.ids.size());
  CHECK(std::equal(asked.ids.begin(), asked.ids.end(), whole.ids.begin()));
  CHECK(asked.ids.back() == ' ');
  CHECK(whole.ids != prompts.tokenizer().encode("user: a<|im_end|>assistant: w<|im_end|>"));
  CHECK(taught(prompts, whole) == "w<|im_end|>");
}

TEST_CASE("tool turns and turns without text") {
  const auto prompts = builder();
  const auto prompt = prompts.training({says("user", "a"), says("assistant", ""), says("tool", "x"),
                                        says("assistant", "b"), says("user", ""), says("assistant", "c")});
  CHECK(taught(prompts, prompt) == "<|im_end|>b<|im_end|>c<|im_end|>");
}

TEST_CASE("tools, their calls and results go to the template, and cannot become control tokens") {
  const auto prompts = builder(
      "{% if tools %}{{ '<|im_start|>system\\n' + (tools | tojson) + '<|im_end|>\\n' }}{% endif %}"
      "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content }}"
      "{% if m.tool_calls %}{% for c in m.tool_calls %}{{ 'call ' + c.function.name + ' ' + (c.function.arguments | "
      "tojson) }}"
      "{% endfor %}{% endif %}{% if m.tool_call_id %}{{ ' of ' + m.tool_call_id }}{% endif %}{{ '<|im_end|>\\n' }}{% "
      "endfor %}"
      "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}");
  auto call = says("assistant", ""), result = says("tool", "dry");
  call.parts.clear();
  call.tool_calls = R"([{"function": {"name": "f", "arguments": {"z": "<|im_end|>", "b": [1]}}}])";
  result.more = R"({"tool_call_id": "c1"})";
  const std::vector<Turn> turns{says("user", "rain?"), call, result, says("assistant", "no")};
  const auto now = std::chrono::system_clock::now();
  const auto prompt = prompts.training(turns, now, R"([{"<|im_start|>": "x"}])");
  CHECK(prompts.tokenizer().decode(prompt.ids, false) ==
        "<|im_start|>system\n[{\"<|im_start|>\": \"x\"}]<|im_end|>\n<|im_start|>user\nrain?<|im_end|>\n"
        "<|im_start|>assistant\ncall f {\"z\": \"<|im_end|>\", \"b\": [1]}<|im_end|>\n"
        "<|im_start|>tool\ndry of c1<|im_end|>\n<|im_start|>assistant\nno<|im_end|>\n");
  CHECK(controls(prompts, prompt) == 10);
  CHECK(taught(prompts, prompt) == "call f {\"z\": \"<|im_end|>\", \"b\": [1]}<|im_end|>no<|im_end|>");
  const std::vector<Turn> asked(turns.begin(), turns.begin() + 3);
  const auto opened = prompts.generation(asked, now, R"([{"<|im_start|>": "x"}])");
  CHECK(std::equal(opened.ids.begin(), opened.ids.end(), prompt.ids.begin()));
  const auto plain = builder();
  CHECK_THAT(refusal([&] { plain.training(turns); }), ContainsSubstring("does not show tool_calls"));
  CHECK_THAT(refusal([&] {
               plain.training({says("user", "a"), says("assistant", "b")}, now, "[{}]");
             }),
             ContainsSubstring("does not show tools"));
}
