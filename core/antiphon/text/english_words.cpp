#include <antiphon/text/english_words.h>

#include <map>

namespace antiphon::text {
namespace {

using Words = std::map<std::string, NumberWordInfo, std::less<>>;

// As the reference derives them, "nineth" included.
std::string ordinal_of_one(const std::string& name) { return name + (name.ends_with('t') ? "h" : "th"); }

void add_ones(Words& words) {
  int value = 0;
  for (const char* name :
       {"one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen",
        "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"}) {
    words[name] = {NumberWord::one, ++value};
    words[value == 6 ? "sixes" : std::string(name) + "s"] = {NumberWord::one_ends, value, "s"};
    if (value > 3 && value != 5 && value != 12) words[ordinal_of_one(name)] = {NumberWord::one_ends, value, "th"};
  }
  words["zeroth"] = {NumberWord::one_ends, 0, "th"}, words["first"] = {NumberWord::one_ends, 1, "st"};
  words["second"] = {NumberWord::one_ends, 2, "nd"}, words["third"] = {NumberWord::one_ends, 3, "rd"};
  words["fifth"] = {NumberWord::one_ends, 5, "th"}, words["twelfth"] = {NumberWord::one_ends, 12, "th"};
}

void add_tens(Words& words) {
  int value = 10;
  for (const char* name : {"twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"}) {
    words[name] = {NumberWord::ten, value += 10};
    const std::string stem(name, std::string_view(name).size() - 1);
    words[stem + "ies"] = {NumberWord::ten_ends, value, "s"};
    words[stem + "ieth"] = {NumberWord::ten_ends, value, "th"};
  }
}

void add_powers(Words& words) {
  const auto add = [&](const std::string& name, int power) {
    words[name] = {NumberWord::power, power};
    words[name + "s"] = {NumberWord::power_ends, power, "s"};
    words[name + "th"] = {NumberWord::power_ends, power, "th"};
  };
  add("hundred", 2);
  int power = 0;
  for (const char* name : {"thousand", "million", "billion", "trillion", "quadrillion", "quintillion", "sextillion",
                           "septillion", "octillion", "nonillion", "decillion"})
    add(name, power += 3);
}

Words all_words() {
  Words words;
  for (const char* name : {"o", "oh", "zero"}) words[name] = {NumberWord::zero};
  add_ones(words), add_tens(words), add_powers(words);
  for (const char* name : {"minus", "negative"}) words[name] = {NumberWord::sign, 0, "-"};
  for (const char* name : {"plus", "positive"}) words[name] = {NumberWord::sign, 0, "+"};
  for (const auto& [name, unit] : {std::pair{"pound", "£"}, {"euro", "€"}, {"dollar", "$"}, {"cent", "¢"}})
    words[name] = words[std::string(name) + "s"] = {NumberWord::unit, 0, unit};
  words["percent"] = {NumberWord::percent, 0, "%"}, words["per"] = {NumberWord::per, 0, "%"};
  for (const char* name : {"and", "double", "triple", "point"}) words[name] = {NumberWord::special};
  return words;
}

}  // namespace

const NumberWordInfo& number_word(std::string_view word) {
  static const auto* words = new Words(all_words());
  static const NumberWordInfo none;
  const auto found = words->find(word);
  return found == words->end() ? none : found->second;
}

}  // namespace antiphon::text
