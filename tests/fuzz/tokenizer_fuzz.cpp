// Any bytes as tokenizer.json are either rejected with antiphon::Error or make a tokenizer that encodes and decodes a
// text within bounds. A NUL byte in the input ends the file; what follows is the text. An input that starts with "P",
// "T" or "K" is a file of SentencePiece or tiktoken, or a tekken.json, whose length follows in four bytes.
#include <cstdlib>
#include <cstring>
#include <string_view>

#include <antiphon/base/error.h>
#include <antiphon/base/strings.h>
#include <antiphon/text/template/data_guard.h>
#include <antiphon/text/tokenizer/tokenizer.h>

using namespace antiphon::text;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

void check(const Tokenizer& tokenizer, std::string_view text) {
  require(tokenizer.vocab_size() <= 1 << 22);
  const auto all = tokenizer.encode(text, {.add_special_tokens = true});
  // Normalizing makes 16 times as much at most, each byte a token at most; the template adds 1,000 ids at most.
  require(all.size() <= 32 * text.size() + 4096);
  for (const auto id : all) require(id >= 0 && id < tokenizer.vocab_size());
  require(antiphon::is_utf8(tokenizer.decode(all, false)));
  const auto ordinary = [&](int32_t id) { return !tokenizer.is_control(id) || id == tokenizer.unknown_id(); };
  for (const auto id : tokenizer.encode(text, {.control = Control::never})) require(ordinary(id));
  const auto guarded = DataGuard(tokenizer)(text);
  for (const auto id : tokenizer.encode(guarded, {.control = Control::guarded})) require(ordinary(id));
}

// What the input is, and the text to encode.
std::pair<Tokenizer::Files, std::string_view> parts_of(std::string_view input) {
  constexpr std::string_view usual = "Hello, <s>world</s>! e\xCC\x81  \xE4\xBD\xA0";
  if (input.size() >= 5 && (input[0] == 'P' || input[0] == 'T' || input[0] == 'K')) {
    uint32_t length = 0;
    std::memcpy(&length, input.data() + 1, sizeof length);
    const auto file = input.substr(5, length);
    const auto text = input.substr(5 + file.size());
    const auto* name = input[0] == 'K' ? "tekken.json" : "tokenizer.model";
    return {{.other = std::string(file), .other_name = name}, text.empty() ? usual : text};
  }
  const auto end = std::min(input.find('\0'), input.size());
  return {{std::string(input.substr(0, end))}, end < input.size() ? input.substr(end + 1) : usual};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto [files, text] = parts_of({reinterpret_cast<const char*>(data), size});
  try {
    check(Tokenizer::from_files(files), text);
  } catch (const antiphon::Error& error) {
    require(error.kind() == antiphon::ErrorKind::config || error.kind() == antiphon::ErrorKind::data);
  }
  return 0;
}
