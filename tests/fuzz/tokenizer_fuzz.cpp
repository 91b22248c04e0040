// Any bytes as tokenizer.json are either rejected with antiphon::Error or make a tokenizer that encodes and decodes a
// text within bounds. A NUL byte in the input ends the file; what follows is the text.
#include <cstdlib>
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
  for (const auto id : tokenizer.encode(text, {.control = Control::never})) require(!tokenizer.is_control(id));
  const auto guarded = DataGuard(tokenizer)(text);
  for (const auto id : tokenizer.encode(guarded, {.control = Control::guarded})) require(!tokenizer.is_control(id));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const auto end = std::min(input.find('\0'), size);
  const auto text =
      end < size ? input.substr(end + 1) : std::string_view("Hello, <s>world</s>! e\xCC\x81  \xE4\xBD\xA0");
  try {
    check(Tokenizer::from_files({std::string(input.substr(0, end))}), text);
  } catch (const antiphon::Error& error) {
    require(error.kind() == antiphon::ErrorKind::config || error.kind() == antiphon::ErrorKind::data);
  }
  return 0;
}
