// Text to ids, on one thread: the lines of DIRECTORY/text, by the tokenizer there.
#include <antiphon/base/files.h>
#include <antiphon/base/strings.h>
#include <antiphon/text/tokenizer/tokenizer.h>

#include "verbs.h"

namespace antiphon::bench {

void tokenize(const Flags& flags) {
  const std::filesystem::path folder = flags.path;
  const auto tokenizer = text::Tokenizer::load(folder);
  const auto all = read_file(folder / "text", ErrorKind::data);
  const auto lines = split(all, '\n');
  size_t ids = 0;
  const auto walls = repeat(flags.repeats, [&] {
    ids = 0;
    for (const auto& line : lines) ids += tokenizer.encode(line).size();
  });
  std::vector<double> rates;
  for (const double wall : walls) rates.push_back(static_cast<double>(all.size()) / 1e6 / wall);
  emit("tokenize", {{"tokens", ids}, {"tokenizer", tokenizer.summary()}}, {{"mb_per_s", rates}});
}

}  // namespace antiphon::bench
