#include <antiphon/text/english.h>

#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>

#include <antiphon/base/error.h>
#include <antiphon/base/strings.h>
#include <antiphon/text/english_numbers.h>
#include <antiphon/text/rewrite.h>
#include <antiphon/text/score_text.h>
#include <antiphon/text/unicode.h>

namespace antiphon::text {
namespace {

using Pairs = std::vector<std::pair<std::string, std::string>>;

std::vector<Rewrite> rewrites_of(const Pairs& pairs) {
  std::vector<Rewrite> all;
  for (const auto& [pattern, replacement] : pairs) all.emplace_back(pattern, replacement);
  return all;
}

// Whole words, in the reference's order.
const std::vector<Rewrite>& of_words() {
  static const auto* all = [] {
    Pairs pairs{{R"(\b(?:hmm|mm|mhm|mmm|uh|um)\b)", ""}, {R"((?<!\s)\s+')", "'"}};
    for (const auto& [word, written] : Pairs{{"won't", "will not"},
                                             {"can't", "can not"},
                                             {"let's", "let us"},
                                             {"ain't", "aint"},
                                             {"y'all", "you all"},
                                             {"wanna", "want to"},
                                             {"gotta", "got to"},
                                             {"gonna", "going to"},
                                             {"i'ma", "i am going to"},
                                             {"imma", "i am going to"},
                                             {"woulda", "would have"},
                                             {"coulda", "could have"},
                                             {"shoulda", "should have"},
                                             {"ma'am", "madam"},
                                             // titles
                                             {"mr", "mister "},
                                             {"mrs", "missus "},
                                             {"st", "saint "},
                                             {"dr", "doctor "},
                                             {"prof", "professor "},
                                             {"capt", "captain "},
                                             {"gov", "governor "},
                                             {"ald", "alderman "},
                                             {"gen", "general "},
                                             {"sen", "senator "},
                                             {"rep", "representative "},
                                             {"pres", "president "},
                                             {"rev", "reverend "},
                                             {"hon", "honorable "},
                                             {"asst", "assistant "},
                                             {"assoc", "associate "},
                                             {"lt", "lieutenant "},
                                             {"col", "colonel "},
                                             {"jr", "junior "},
                                             {"sr", "senior "},
                                             {"esq", "esquire "}})
      pairs.emplace_back(R"(\b)" + word + R"(\b)", written);
    for (const auto& [end, written] : Pairs{{"'d been", " had been"},
                                            {"'s been", " has been"},
                                            {"'d gone", " had gone"},
                                            {"'s gone", " has gone"},
                                            {"'d done", " had done"},
                                            {"'s got", " has got"},
                                            {"n't", " not"},
                                            {"'re", " are"},
                                            {"'s", " is"},
                                            {"'d", " would"},
                                            {"'ll", " will"},
                                            {"'t", " not"},
                                            {"'ve", " have"},
                                            {"'m", " am"}})
      pairs.emplace_back(end + R"(\b)", written);
    pairs.emplace_back(R"((\d),(\d))", "$1$2");
    pairs.emplace_back(R"(\.([^0-9]|$))", " $1");
    return new auto(rewrites_of(pairs));
  }();
  return *all;
}

std::string apply_all(const std::vector<Rewrite>& rewrites, std::string text) {
  for (const auto& rewrite : rewrites) text = rewrite(text);
  return text;
}

// Letters that NFKD does not take apart.
std::string_view without_diacritic(UChar32 c) {
  switch (c) {
    case U'œ': return "oe";
    case U'Œ': return "OE";
    case U'ø': return "o";
    case U'Ø': return "O";
    case U'æ': return "ae";
    case U'Æ': return "AE";
    case U'ß': return "ss";
    case U'ẞ': return "SS";
    case U'đ':
    case U'ð': return "d";
    case U'Đ':
    case U'Ð': return "D";
    case U'þ':
    case U'Þ': return "th";
    case U'ł': return "l";
    case U'Ł': return "L";
    default: return {};
  }
}

icu::UnicodeString nfkd(std::string_view text) {
  UErrorCode code = U_ZERO_ERROR;
  const auto* normalizer = icu::Normalizer2::getNFKDInstance(code);
  const auto source = icu::UnicodeString::fromUTF8(icu::StringPiece(text.data(), static_cast<int32_t>(text.size())));
  auto out = U_SUCCESS(code) ? normalizer->normalize(source, code) : icu::UnicodeString();
  if (U_FAILURE(code))
    fail(ErrorKind::internal, std::string("the Unicode library reports ") + u_errorName(code),
         "check the installation of ICU");
  return out;
}

// Without marks that stand over letters; other marks, symbols and punctuation are spaces, but for . % $ ¢ € £.
std::string plain_letters(std::string_view text) {
  const auto decomposed = nfkd(text);
  std::string out;
  for (int32_t i = 0; i < decomposed.length(); i = decomposed.moveIndex32(i, 1)) {
    const UChar32 c = decomposed.char32At(i);
    const auto category = U_GET_GC_MASK(c);
    const auto letters = without_diacritic(c);
    if (std::u32string_view(U".%$¢€£").find(static_cast<char32_t>(c)) != std::u32string_view::npos)
      append_utf8(out, static_cast<char32_t>(c));
    else if (!letters.empty())
      out += letters;
    else if (category & U_GC_MN_MASK)
      continue;
    else if (category & (U_GC_M_MASK | U_GC_S_MASK | U_GC_P_MASK))
      out += ' ';
    else
      append_utf8(out, static_cast<char32_t>(c));
  }
  return out;
}

std::string spelt(std::string_view text, const Spellings& spellings) {
  auto words = python_words(text);
  for (auto& word : words)
    if (const auto found = spellings.find(word); found != spellings.end()) word = found->second;
  return join(words, " ");
}

}  // namespace

std::string whisper_english(std::string_view text, const Spellings& spellings) {
  static const auto* last =
      new std::vector<Rewrite>(rewrites_of({{R"([.$¢€£]([^0-9]))", " $1"}, {R"(([^0-9])%)", "$1 "}}));
  const auto plain = plain_letters(apply_all(of_words(), lower_outside_brackets(text)));
  const auto words = python_words(apply_all(*last, spelt(numbers_as_digits(plain), spellings)));
  return join(words, " ");
}

}  // namespace antiphon::text
