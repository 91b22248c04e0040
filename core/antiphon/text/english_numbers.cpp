#include <antiphon/text/english_numbers.h>

#include <unicode/uchar.h>

#include <antiphon/base/strings.h>
#include <antiphon/text/english_words.h>
#include <antiphon/text/rewrite.h>
#include <antiphon/text/unicode.h>

namespace antiphon::text {
namespace {

// Digits, or digits with a point and digits after it: its integer part and its fraction, as they are written.
std::optional<std::pair<std::string, std::string>> as_number(std::string_view word) {
  static const auto* whole = new Rewrite(R"(^\d+(?:\.\d+)?$)", "");
  if (word.empty() || !(*whole)(word).empty()) return std::nullopt;
  const auto point = word.find('.');
  if (point == std::string_view::npos) return std::pair(std::string(word), std::string());
  return std::pair(std::string(word.substr(0, point)), std::string(word.substr(point + 1)));
}

// The sign or unit that a word begins with; "" if none.
std::string_view prefix_of(std::string_view word) {
  for (const std::string_view prefix : {"-", "+", "$", "£", "€", "¢"})
    if (word.starts_with(prefix)) return word.substr(0, prefix.size());
  return {};
}

// One pass over the words of a text. What a word does is told by the reference's process_words, branch by branch.
class Numbers {
 public:
  explicit Numbers(const std::vector<std::string>& words) : words_(words) {}

  std::vector<std::string> run() {
    for (place_ = 0; place_ < words_.size(); ++place_) take(words_[place_]);
    give_value();
    return std::move(out_);
  }

 private:
  NumberWordInfo at(size_t place) const {
    return place < words_.size() ? number_word(words_[place]) : NumberWordInfo();
  }
  NumberWordInfo previous() const { return place_ == 0 ? NumberWordInfo() : at(place_ - 1); }
  NumberWordInfo next() const { return at(place_ + 1); }
  bool next_is_numeric() const { return place_ + 1 < words_.size() && as_number(words_[place_ + 1]); }
  bool next_may_be_number() const { return next().kind != NumberWord::none || next_is_numeric(); }

  void give(const std::string& text) {
    out_.push_back(prefix_ + text);
    value_.reset(), prefix_.clear();
  }
  void give_value(const std::string& suffix = {}) {
    if (value_) give(value_->digits + suffix);
  }
  // str(value or ""): an integer 0 counts as nothing.
  std::string so_far() const { return value_ && (value_->is_text || value_->digits != "0") ? value_->digits : ""; }
  void append(const std::string& digits) { value_ = {value_->digits + digits, true}; }

  void take(const std::string& word) {
    const auto prefix = prefix_of(word);
    const auto rest = std::string_view(word).substr(prefix.size());
    if (as_number(rest)) return take_digits(word, prefix, rest);
    const auto info = number_word(word);
    switch (info.kind) {
      case NumberWord::none: return give_value(), give(word);
      case NumberWord::zero: value_ = {so_far() + "0", true}; return;
      case NumberWord::one: return take_one(info.value);
      case NumberWord::ten: return take_ten(info.value);
      case NumberWord::one_ends: take_one(info.value); return give_value(info.written);
      case NumberWord::ten_ends: take_ten(info.value); return give_value(info.written);
      case NumberWord::power: return take_power(info.value);
      case NumberWord::power_ends: take_power(info.value); return give_value(info.written);
      case NumberWord::sign: return take_sign(word, info.written);
      case NumberWord::unit: return take_unit(word, info.written);
      case NumberWord::percent: return value_ ? give_value("%") : give(word);
      case NumberWord::per: return take_per(word);
      case NumberWord::special: return take_special(word);
    }
  }

  void take_digits(const std::string& word, std::string_view prefix, std::string_view rest) {
    if (value_ && value_->is_text && value_->digits.ends_with('.')) return append(word);
    give_value();
    if (!prefix.empty()) prefix_ = prefix;
    const auto whole = WrittenNumber{std::string(rest), true}.times(0);  // 3.0 is 3, 007 is 7
    value_ = whole ? *whole : WrittenNumber{std::string(rest), true};
  }

  void take_one(int ones) {
    const auto digits = std::to_string(ones);
    if (!value_) {
      value_ = {digits};
    } else if (value_->is_text || previous().kind == NumberWord::one) {
      if (previous().kind == NumberWord::ten && ones < 10) value_->digits.pop_back();
      append(digits);
    } else if (value_->ends_in_zeros(ones < 10 ? 1 : 2)) {
      value_->put_in(ones);
    } else {
      append(digits);
    }
  }

  void take_ten(int tens) {
    if (!value_)
      value_ = {std::to_string(tens)};
    else if (!value_->is_text && value_->ends_in_zeros(2))
      value_->put_in(tens);
    else
      append(std::to_string(tens));
  }

  void take_power(int power) {
    const WrittenNumber one{"1" + std::string(static_cast<size_t>(power), '0')};
    if (!value_) {
      value_ = one;
    } else if (const auto product = value_->times(power)) {
      value_ = product;
    } else {
      give_value();
      value_ = one;
    }
  }

  void take_sign(const std::string& word, const std::string& sign) {
    give_value();
    if (next_may_be_number())
      prefix_ = sign;
    else
      give(word);
  }

  void take_unit(const std::string& word, const std::string& unit) {
    if (!value_) return give(word);
    prefix_ = unit;
    give_value();
  }

  void take_per(const std::string& word) {
    if (value_ && place_ + 1 < words_.size() && words_[place_ + 1] == "cent") {
      ++place_;
      return give_value("%");
    }
    give_value();
    give(word);
  }

  void take_special(const std::string& word) {
    const auto kind = next().kind;
    const bool digit = kind == NumberWord::one || kind == NumberWord::zero;
    if (!next_may_be_number()) return give_value(), give(word);
    if (word == "point") {
      if (digit || kind == NumberWord::ten || next_is_numeric()) value_ = {so_far() + ".", true};
    } else if (word == "and") {
      if (previous().kind != NumberWord::power) give_value(), give(word);
    } else if (digit) {  // double, triple
      const auto one = std::to_string(next().value);
      value_ = {so_far() + one + one + (word == "triple" ? one : ""), true};
      ++place_;
    } else {
      give_value(), give(word);
    }
  }

  const std::vector<std::string>& words_;
  size_t place_ = 0;
  std::vector<std::string> out_;
  std::string prefix_;
  std::optional<WrittenNumber> value_;
};

std::string with_halves(std::string_view text) {
  static const auto* half = new Rewrite(R"(\band\s+a\s+half\b)", "");
  std::vector<std::string> parts;
  const auto segments = half->split(text);
  for (size_t i = 0; i < segments.size(); ++i) {
    const auto words = python_words(segments[i]);
    if (words.empty()) continue;
    parts.push_back(segments[i]);
    if (i + 1 == segments.size()) continue;
    const auto kind = number_word(words.back()).kind;
    const bool number =
        kind == NumberWord::zero || kind == NumberWord::one || kind == NumberWord::ten || kind == NumberWord::power;
    parts.push_back(number ? "point five" : "and a half");
  }
  return join(parts, " ");
}

std::string apply(const std::vector<Rewrite>& rewrites, std::string text) {
  for (const auto& rewrite : rewrites) text = rewrite(text);
  return text;
}

}  // namespace

std::vector<std::string> python_words(std::string_view text) {
  static const auto* spaces = new Rewrite(R"((?<!\s)\s+)", "");
  auto words = spaces->split(text);
  std::erase_if(words, [](const auto& word) { return word.empty(); });
  return words;
}

std::string numbers_as_digits(std::string_view text) {
  static const auto* before = new std::vector<Rewrite>{
      {R"(([a-z])([0-9]))", "$1 $2"},
      {R"(([0-9])([a-z]))", "$1 $2"},
      {R"(([0-9])\s+(st|nd|rd|th|s)\b)", "$1$2"},
  };
  // "$2 and ¢7" -> "$2.07", "$0.70" -> "¢70", "1s" -> "ones".
  static const auto* after = new std::vector<Rewrite>{
      {R"(([€£$])([0-9]+) (?:and )?¢(?|([0-9]{2})|([0-9]))\b)", "$1$2.#$3"},
      {R"(\.#([0-9])(?![0-9]))", ".0$1"},
      {R"(\.#)", "."},
      {R"([€£$]0.(?|0([0-9])|([0-9]{1,2}))\b)", "¢$1"},
      {R"(\b1(s?)\b)", "one$1"},
  };
  const auto words = python_words(apply(*before, with_halves(text)));
  return apply(*after, join(Numbers(words).run(), " "));
}

}  // namespace antiphon::text
