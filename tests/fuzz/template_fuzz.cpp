// Any bytes are either rejected with antiphon::Error or a template, which renders conversations or is refused.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>
#include <antiphon/text/template/chat_template.h>

namespace {

using namespace antiphon;

const auto& talk() {
  static const auto* made = new auto(nlohmann::ordered_json::parse(
      R"([{"role": "system", "content": "Be kind."}, {"role": "user", "content": " Hi \n"},
          {"role": "assistant", "content": "<think>hm</think>Yo", "tool_calls": [{"function": {"name": "f", "arguments": {"a": [1, 2.5, null, true]}}}]},
          {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "äöü 😀"}]}])"));
  return *made;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const auto chat =
        text::ChatTemplate::from_source({reinterpret_cast<const char*>(data), size}, {{"eos_token", "</s>"}});
    chat.render(talk(), {true, {}});
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::config && error.kind() != ErrorKind::data) std::abort();
  }
  return 0;
}
