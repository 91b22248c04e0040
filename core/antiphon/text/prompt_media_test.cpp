// Where media stand in what a template writes.
#include <antiphon/text/prompt_test.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

using namespace antiphon;
using namespace antiphon::text;
using namespace antiphon::text::testing;
using Catch::Matchers::ContainsSubstring;
using Ids = std::vector<int32_t>;

TEST_CASE("media stand where they were put, one entry each") {
  const auto prompts = builder();
  const auto prompt = prompts.training(
      {{"user", {{"he", -1}, {"", 0}, {"llo", -1}, {"", 1}}}, {"user", {{"", 2}}}, says("assistant", "a")});
  Ids places;
  for (size_t i = 0; i < prompt.ids.size(); ++i) {
    if (prompt.ids[i] >= 0) continue;
    places.push_back(prompt.ids[i]);
    CHECK_FALSE(prompt.supervised[i]);
  }
  CHECK(places == Ids{-1, -2, -3});
  CHECK(prompts.tokenizer().decode(prompt.ids, false) ==
        "<|im_start|>user\nhello<|im_end|>\n<|im_start|>user\n<|im_end|>\n<|im_start|>assistant\na<|im_end|>\n");
  const auto lists = builder(
      "{% for m in messages %}{% for p in m.content %}{% if p.type == 'text' %}{{ p.text }}{% endif %}{% endfor %}{% "
      "endfor %}");
  CHECK(lists.training({{"user", {{"", 0}, {"h", -1}}}}).ids == Ids{-1, 'h'});
}

namespace {

// With two tokens more.
Tokenizer with_media_tokens() {
  auto file = chat_tokenizer_json();
  auto image = file["added_tokens"][0], sound = image;
  const int id = static_cast<int>(file["added_tokens"].size());
  image["id"] = file["added_tokens"][id - 1]["id"].get<int>() + 1, image["content"] = "<image>";
  sound["id"] = image["id"].get<int>() + 1, sound["content"] = "<sound>";
  file["added_tokens"].push_back(image), file["added_tokens"].push_back(sound);
  return tokenizer_of(file, R"({"eos_token": "<|im_end|>"})");
}

}  // namespace

TEST_CASE("text around media becomes tokens together with what is beside it") {
  const auto tokenizer = with_media_tokens();
  const auto prompts = builder(
      "{% for m in messages %}{% for p in m.content %}{% if p.type == 'image' %}<image>{% else %}{{ p.text }}"
      "{% endif %}{% endfor %}{% endfor %}",
      tokenizer);
  const int32_t image = *tokenizer.id_of("<image>"), sound = *tokenizer.id_of("<sound>"), breaks = 261;
  const Part first{"", 0, "image", "<image>", "\n<image>", "<sound>\n"},
      second{"", 1, "image", "<image>", "", "<sound>"};
  CHECK(prompts.training({{"user", {{"h\n"}, first, {"\n"}, second}}}).ids ==
        Ids{'h', breaks, image, -1, sound, breaks, -2, sound});
  // Text that spells a token is text; an item whose token no template writes has its text around it, too.
  const auto spelled = prompts.training({{"user", {{"<image>"}, first}}}).ids;
  CHECK(std::count(spelled.begin(), spelled.end(), image) == 1);
  const Part bare{"", 0, "image", "", "<image>", "\n"};
  CHECK(prompts.training({{"user", {{"h"}, bare, {"\n"}}}}).ids == Ids{'h', image, -1, breaks});
  const auto twice =
      builder("<image>{% for m in messages %}{% for p in m.content %}<image>{% endfor %}{% endfor %}", tokenizer);
  CHECK_THAT(refusal([&] { twice.training({{"user", {first}}}); }), ContainsSubstring("more often"));
}

TEST_CASE("media stand where the template writes their token") {
  const auto tokenizer = with_media_tokens();
  const auto prompts = builder(
      "{% for m in messages %}{% for p in m.content %}{% if p.type == 'image' %}<image>{% elif p.type == 'audio' "
      "%}<sound>{% else %}{{ p.text }}{% endif %}{% endfor %}{% endfor %}",
      tokenizer);
  const Part picture{"", 0, "image", "<image>"}, voice{"", 1, "audio", "<sound>"}, plain{"", 2, "image", ""};
  CHECK(prompts.training({{"user", {{"h"}, picture, {"a"}, voice}}}).ids == Ids{'h', -1, 'a', -2});
  // Text that spells a token is text, and media without a token stay in place.
  const auto mixed = prompts.training({{"user", {{"<image>"}, voice, plain, picture}}}).ids;
  CHECK(std::count_if(mixed.begin(), mixed.end(), [](int32_t i) { return i < 0; }) == 3);
  CHECK(Ids(mixed.end() - 3, mixed.end()) == Ids{-2, -3, -1});
  CHECK(std::find(mixed.begin(), mixed.end(), *tokenizer.id_of("<image>")) == mixed.end());
  CHECK_THAT(refusal([&] {
               prompts.training({{"user", {{"", 0, "image", "<picture>"}}}});
             }),
             ContainsSubstring("not a control token"));
  const auto lost =
      builder("{% for m in messages %}{% for p in m.content %}{{ p.text }}{% endfor %}{% endfor %}", tokenizer);
  CHECK_THAT(refusal([&] { lost.training({{"user", {{"a"}, picture}}}); }), ContainsSubstring("media"));
  const auto twice =
      builder("<image>{% for m in messages %}{% for p in m.content %}<image>{% endfor %}{% endfor %}", tokenizer);
  CHECK_THAT(refusal([&] { twice.training({{"user", {picture}}}); }), ContainsSubstring("more often"));
}

TEST_CASE("media that a template loses are an error") {
  const auto first = builder("{{ messages[0].content }}");
  CHECK_THAT(refusal([&] { first.training({says("user", "a"), {"user", {{"", 0}}}}); }), ContainsSubstring("media"));
  const auto twice = builder("{{ messages[0].content }}{{ messages[0].content }}");
  CHECK_THAT(refusal([&] { twice.training({{"user", {{"", 0}}}}); }), ContainsSubstring("media"));
}

TEST_CASE("a document is its text with its media between, as the template writes them between texts") {
  const auto tokenizer = with_media_tokens();
  const auto with = [&](const std::string& content) {
    return builder("{% for m in messages %}<|im_start|>" + content + "<|im_end|>{% endfor %}", tokenizer);
  };
  const auto between = with(
      "{% for p in m.content %}{% if p.type == 'image' %}<sound><image>{% else %}{{ p.text }}{% endif %}{% endfor %}");
  const auto first = with(
      "{% for p in m.content if p.type == 'image' %}<sound><image>{% endfor %}"
      "{% for p in m.content if p.type == 'text' %}{{ p.text }}{% endfor %}");
  const Part picture{"", 0, "image", "<image>"}, around{"", 1, "image", "", "\n", ""};
  const std::vector<Turn> turns{{std::string(document_role), {{"hello <image>"}, picture, {"a\n"}, around}}};
  const int32_t sound = *tokenizer.id_of("<sound>"), breaks = 261;
  for (const auto* prompts : {&between, &first}) {
    const auto prompt = prompts->training(turns);
    CHECK(taught(*prompts, prompt) == "hello <image>a\n\n<|im_end|>");
    const auto place = std::ranges::find(prompt.ids, -1);
    REQUIRE((place != prompt.ids.end() && place != prompt.ids.begin()));
    CHECK((*(place - 1) == sound) == (prompts == &between));
    CHECK(controls(*prompts, prompt) == (prompts == &between ? 2 : 1));
    CHECK(std::ranges::count(prompt.ids, breaks) == 1);  // "\n" of the text and of the medium: one token
    CHECK(std::ranges::count(prompt.ids, -2) == 1);
  }
  CHECK_THAT(refusal([&] { between.training({turns[0], turns[0]}); }), ContainsSubstring("document"));
  CHECK_THAT(refusal([&] { between.generation(turns); }), ContainsSubstring("document"));
}
