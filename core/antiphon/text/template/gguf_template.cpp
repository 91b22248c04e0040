#include <antiphon/text/template/gguf_template.h>

#include <antiphon/base/gguf.h>

namespace antiphon::text {

std::string gguf_chat_template(const std::filesystem::path& path) {
  const GgufFile file(path, ErrorKind::config);
  const auto found = file.metadata().find("tokenizer.chat_template");
  return found != file.metadata().end() && found->is_string() ? found->get<std::string>() : "";
}

}  // namespace antiphon::text
