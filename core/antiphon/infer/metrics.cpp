#include <antiphon/infer/metrics.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <random>

namespace antiphon::infer {
namespace {

// The input is UTF-8 from our own decoder or from a checked file; a stray byte stands for itself.
std::u32string characters(std::string_view text) {
  std::u32string out;
  for (size_t i = 0; i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    const size_t n = c < 0xC0 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
    char32_t value = n == 1 ? c : c & (0xFF >> (n + 1));
    for (size_t k = 1; k < n && i + k < text.size(); ++k)
      value = value << 6 | (static_cast<unsigned char>(text[i + k]) & 0x3F);
    out += value;
    i += n;
  }
  return out;
}

void append(std::string& out, char32_t c) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xC0 | c >> 6), out += static_cast<char>(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    out += static_cast<char>(0xE0 | c >> 12), out += static_cast<char>(0x80 | (c >> 6 & 0x3F)),
        out += static_cast<char>(0x80 | (c & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | c >> 18), out += static_cast<char>(0x80 | (c >> 12 & 0x3F)),
        out += static_cast<char>(0x80 | (c >> 6 & 0x3F)), out += static_cast<char>(0x80 | (c & 0x3F));
  }
}

char32_t lower(char32_t c) {
  if ((c >= 'A' && c <= 'Z') || (c >= 0xC0 && c <= 0xDE && c != 0xD7) || (c >= 0x391 && c <= 0x3A9) ||
      (c >= 0x410 && c <= 0x42F))
    return c + 32;
  if (c >= 0x400 && c <= 0x40F) return c + 80;
  if ((c >= 0x100 && c <= 0x137) || (c >= 0x14A && c <= 0x177)) return c | 1;
  if ((c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17E)) return c + (c & 1);
  return c;
}

bool is_separator(char32_t c) {
  return (c < 0x80 && !((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))) ||
         (c >= 0x80 && c <= 0xBF && c != 0xAA && c != 0xB5 && c != 0xBA) || (c >= 0x2000 && c <= 0x206F) ||
         (c >= 0x3000 && c <= 0x303F);
}

std::vector<std::string> words(std::string_view text) {
  std::vector<std::string> out;
  const auto normalized = normalize_answer(text);
  for (size_t begin = 0; begin < normalized.size();) {
    const size_t end = std::min(normalized.find(' ', begin), normalized.size());
    out.push_back(normalized.substr(begin, end - begin));
    begin = end + 1;
  }
  return out;
}

template <class Sequence>
int64_t edit_distance(const Sequence& a, const Sequence& b) {
  std::vector<int64_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (size_t i = 1; i <= a.size(); ++i) {
    int64_t diagonal = std::exchange(row[0], static_cast<int64_t>(i));
    for (size_t j = 1; j <= b.size(); ++j) {
      const int64_t substitute = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substitute});
    }
  }
  return row.back();
}

std::map<std::u32string, int64_t> ngrams(const std::u32string& text, size_t n) {
  std::map<std::u32string, int64_t> counts;
  for (size_t i = 0; i + n <= text.size(); ++i) ++counts[text.substr(i, n)];
  return counts;
}

std::u32string without_spaces(std::string_view text) {
  auto all = characters(text);
  std::erase_if(all, [](char32_t c) { return c == ' ' || (c >= 9 && c <= 13) || c == 0xA0 || c == 0x3000; });
  return all;
}

size_t below(std::mt19937_64& random, size_t n) { return static_cast<size_t>(random() % n); }

Interval percentile_interval(double mean, std::vector<double> means) {
  std::sort(means.begin(), means.end());
  const auto at = [&](double share) {
    return means[static_cast<size_t>(share * static_cast<double>(means.size() - 1))];
  };
  return {mean, at(0.025), at(0.975)};
}

}  // namespace

std::string normalize_answer(std::string_view text) {
  std::string out;
  bool space = false;
  for (const char32_t c : characters(text)) {
    if (is_separator(c)) {
      space = !out.empty();
      continue;
    }
    if (space) out += ' ';
    space = false;
    append(out, lower(c));
  }
  return out;
}

EditCounts word_errors(std::string_view predicted, std::string_view expected) {
  const auto reference = words(expected);
  return {edit_distance(words(predicted), reference), static_cast<int64_t>(reference.size())};
}

EditCounts character_errors(std::string_view predicted, std::string_view expected) {
  const auto reference = characters(normalize_answer(expected));
  return {edit_distance(characters(normalize_answer(predicted)), reference), static_cast<int64_t>(reference.size())};
}

bool exact_match(std::string_view predicted, std::string_view expected) {
  return normalize_answer(predicted) == normalize_answer(expected);
}

double token_f1(std::string_view predicted, std::string_view expected) {
  const auto p = words(predicted), e = words(expected);
  if (p.empty() || e.empty()) return p.empty() && e.empty() ? 1 : 0;
  std::map<std::string, int64_t> counts;
  for (const auto& word : e) ++counts[word];
  double common = 0;
  for (const auto& word : p)
    if (counts[word]-- > 0) ++common;
  return 2 * common / static_cast<double>(p.size() + e.size());
}

double chrf(std::string_view predicted, std::string_view expected) {
  const auto p = without_spaces(predicted), e = without_spaces(expected);
  double precision = 0, recall = 0;
  int orders = 0;
  for (size_t n = 1; n <= 6; ++n) {
    const auto predicted_grams = ngrams(p, n), expected_grams = ngrams(e, n);
    if (predicted_grams.empty() || expected_grams.empty()) continue;
    double matches = 0;
    for (const auto& [gram, count] : predicted_grams)
      if (const auto it = expected_grams.find(gram); it != expected_grams.end())
        matches += static_cast<double>(std::min(count, it->second));
    precision += matches / static_cast<double>(p.size() - n + 1);
    recall += matches / static_cast<double>(e.size() - n + 1);
    ++orders;
  }
  if (orders == 0) return 0;
  precision /= orders, recall /= orders;
  return precision + recall == 0 ? 0 : 100 * 5 * precision * recall / (4 * precision + recall);
}

Interval bootstrap(const std::vector<double>& values, int64_t resamples, uint64_t seed) {
  return bootstrap_ratio(values, std::vector<double>(values.size(), 1.0), resamples, seed);
}

Interval bootstrap_ratio(const std::vector<double>& numerators, const std::vector<double>& denominators,
                         int64_t resamples, uint64_t seed) {
  const size_t n = numerators.size();
  const double bottom = std::accumulate(denominators.begin(), denominators.end(), 0.0);
  if (n == 0 || bottom == 0) return {};
  std::mt19937_64 random(seed);
  std::vector<double> means;
  for (int64_t r = 0; r < resamples; ++r) {
    double top = 0, base = 0;
    for (size_t i = 0; i < n; ++i) {
      const size_t pick = below(random, n);
      top += numerators[pick], base += denominators[pick];
    }
    means.push_back(base > 0 ? top / base : 0);
  }
  return percentile_interval(std::accumulate(numerators.begin(), numerators.end(), 0.0) / bottom, std::move(means));
}

double sign_flip_p(const std::vector<double>& differences, int64_t resamples, uint64_t seed) {
  const double observed = std::accumulate(differences.begin(), differences.end(), 0.0);
  std::mt19937_64 random(seed);
  int64_t at_least = 0;
  for (int64_t r = 0; r < resamples; ++r) {
    double sum = 0;
    uint64_t bits = 0;
    for (size_t i = 0; i < differences.size(); ++i) {
      if (i % 64 == 0) bits = random();
      sum += bits >> (i % 64) & 1 ? differences[i] : -differences[i];
    }
    at_least += sum >= observed;
  }
  return static_cast<double>(at_least + 1) / static_cast<double>(resamples + 1);
}

}  // namespace antiphon::infer
